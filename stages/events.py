"""The words: everything that flows between stages, as frozen data.

Positions and durations are counted in samples of the caller's stream at ``SAMPLE_RATE``, from
the first sample of the call. No clock is read here and no I/O is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Hz, mono: what the listening lane hears."""

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono audio, shape (n,), -1..1."""

Print: TypeAlias = npt.NDArray[np.float32]
"""A voice as a direction: shape (dim,), length 1; the product of two is their likeness, -1..1."""


# --- the listening lane ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """A piece of the caller's stream at ``SAMPLE_RATE``."""

    samples: Samples
    start: int  # position of samples[0]

    @property
    def end(self) -> int:
        """Position just after the last sample."""
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True, eq=False)
class VadFrame:
    """Audio with what the VAD thinks of it: VAD stages pass every sample on, in order."""

    audio: Audio
    speech: float  # probability that somebody speaks in it, 0..1


@dataclass(frozen=True, slots=True)
class UtteranceStart:
    """To ASR: the audio that follows belongs to this utterance."""

    utterance: int
    start: int  # position of its first sample (pre-roll included)


@dataclass(frozen=True, slots=True)
class Pause:
    """To ASR: the caller is silent; answer with a final of everything up to ``at``.

    The utterance is not over: if audio goes on, later finals cover it from its start.
    """

    utterance: int
    at: int


@dataclass(frozen=True, slots=True)
class UtteranceEnd:
    """To ASR: the turn is over (or was noise); forget the utterance's audio."""

    utterance: int


AsrInput: TypeAlias = UtteranceStart | Audio | Pause | UtteranceEnd


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its place: in the caller's stream (ASR), or in the clause (TTS)."""

    text: str
    start: int  # samples: at SAMPLE_RATE for ASR, at the Speech's own rate for TTS
    end: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """The words of an utterance so far (partial), or up to a pause (final)."""

    utterance: int
    text: str
    upto: int  # position up to which audio was heard; a final's is its Pause's ``at``
    final: bool = False
    stable: int = 0  # characters of ``text`` that no later partial changes; all of a final
    words: tuple[Word, ...] = ()  # where the engine knows them
    endpoint: bool = False  # a partial's: by the engine's own rules the utterance is over
    goes_on: float | None = None  # a final's: how sure the engine is of the comma at its end


@dataclass(frozen=True, slots=True, eq=False)
class PauseContext:
    """To a turn detector: a pause, and what was said before it."""

    audio: Samples  # the utterance at SAMPLE_RATE, the pause's silence included, last 8 s at most
    text: str  # words so far; may be empty or lag behind the audio
    language: str  # BCP 47, as the profile says: "en", "zh-CN"
    silence: int  # samples since the last speech


# --- the speaking lane ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that a model may call."""

    name: str
    description: str
    parameters: str  # JSON Schema of its arguments, as JSON


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model wants a tool; its arguments are unchecked JSON, as the model wrote them."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the conversation, as chat models know it."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    calls: tuple[ToolCall, ...] = ()  # an assistant's
    answers: str = ""  # a tool's: the id of the call


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """To an LLM stage: the conversation to go on with. The system message comes first."""

    messages: tuple[Message, ...]
    temperature: float = 0.7
    max_tokens: int = 256
    tools: tuple[ToolSpec, ...] = ()  # engines with ``takes_tools`` may answer with ``ToolCall``


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the reply, as it comes."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a request cost; comes last, from engines that know."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


LlmEvent: TypeAlias = TextDelta | ToolCall | Usage


@dataclass(frozen=True, slots=True)
class Clause:
    """The smallest piece of text given to TTS."""

    number: int  # 0, 1, 2 … within the reply
    text: str  # what is shown and remembered
    spoken: str  # what is said: no markdown, no emoji, numbers as words; never empty


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """Synthesised audio of a clause; a clause comes as one or more of these, in order."""

    clause: int
    samples: Samples
    rate: int  # Hz of ``samples``
    last: bool  # nothing more comes for this clause
    words: tuple[Word, ...] = ()  # those that begin in these samples, places within the clause


# --- how a profile wants it -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hearing:
    """What an ASR stage is told when a call starts."""

    language: str = "en"  # BCP 47
    hotwords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Voice:
    """How a TTS stage is to sound; a voice that cannot do one of them says so when opened."""

    name: str = ""  # the engine's own name; empty is its default
    rate: float = 1.0  # of speaking; 1.1 is ten per cent faster
    pitch: float = 0.0  # Hz up or down
    volume: float = 1.0
