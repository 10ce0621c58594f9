"""What turn-taking decides: the words in which ``agent.turn`` says what is to be done. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Open:
    """Send ASR the audio from ``start`` on."""

    utterance: int
    start: int


@dataclass(frozen=True, slots=True)
class AskFinal:
    """Ask ASR for a final, and the turn detector for its opinion."""

    utterance: int
    at: int
    silence: int  # samples


@dataclass(frozen=True, slots=True)
class Close:
    """Tell ASR to forget the utterance."""

    utterance: int


@dataclass(frozen=True, slots=True)
class Prepare:
    """Work out a reply on a guess: its audio is held, nothing is said or remembered."""

    reply: int
    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Release:
    """The turn is over: play this reply, prepared or not."""

    reply: int
    turn: int
    text: str
    prepared: bool
    speech_end: int | None = None  # position after the caller's last speech; none: typed
    endpoint: int | None = None  # position at which this was decided


@dataclass(frozen=True, slots=True)
class Drop:
    """Throw a prepared reply away without a trace."""

    reply: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Somebody makes a sound: pause the reply."""

    reply: int


@dataclass(frozen=True, slots=True)
class GoOn:
    """It was nothing: let the reply go on from where it was."""

    reply: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The caller has the word: end the reply."""

    reply: int
    speech_start: int | None  # position of the first sample of the interruption; none: typed


Action: TypeAlias = Open | AskFinal | Close | Prepare | Release | Drop | Hold | GoOn | Interrupt
