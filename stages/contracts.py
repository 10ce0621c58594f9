"""The contracts: what each kind of stage is.

A stage object holds what all calls share (weights, a connection pool). A call runs its
coroutine, so whatever the coroutine holds is that call's alone. A coroutine

- reads its source until it is closed, then finishes what is begun, closes its sink, returns;
- owns its sink: it closes it however it ends;
- is cancelled at any moment; then it lets go of sockets and threads at once and says nothing
  more. Model work runs in threads in short steps (``stages.threads``), abandoned on cancel;
- raises ``stages.errors.StageError``: ``Transient`` may be tried again, ``Unusable`` may not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

from anyio.abc import ObjectReceiveStream, ObjectSendStream
from pydantic import BaseModel, ConfigDict

from stages.events import (
    AsrInput,
    Audio,
    ChatRequest,
    Clause,
    Hearing,
    LlmEvent,
    Message,
    PauseContext,
    Print,
    Samples,
    Speech,
    Transcript,
    VadFrame,
    Voice,
)
from stages.models import ModelStore

T_contra = TypeVar("T_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")

Source: TypeAlias = ObjectReceiveStream
Sink: TypeAlias = ObjectSendStream

Kind: TypeAlias = Literal["vad", "turn", "asr", "speaker", "llm", "tts"]


class Vad(Protocol):
    """Tells speech from silence, frame by frame, without look-ahead."""

    async def run(self, source: Source[Audio], sink: Sink[VadFrame]) -> None:
        """Pass every sample on with a probability; hold back less than 40 ms."""


class Turn(Protocol):
    """A turn detector: judges, at a pause, whether the caller is done."""

    async def judge(self, pause: PauseContext) -> float:
        """Return the probability (0..1) that the turn is complete; 0.5 is "cannot tell"."""


class Asr(Protocol):
    """Turns utterances into words."""

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        """Send partials as audio comes, and for every ``Pause`` exactly one final.

        A final with empty text says that there were no words. Partials that were overtaken
        by a ``Pause`` or ``UtteranceEnd`` are not sent.
        """


class Speaker(Protocol):
    """Tells voices apart."""

    model: str  # which weights; prints of different ones are never compared
    threshold: float  # likeness from which two prints are taken for one voice

    async def embed(self, samples: Samples) -> Print:
        """Return the print of whoever speaks in these samples."""


class Llm(Protocol):
    """Goes on with a conversation."""

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """Get ready for a conversation that begins like this (connection, prefix cache)."""

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        """Send the reply as it is made; cancelling stops the making, upstream too."""


@runtime_checkable
class Foresight(Protocol):
    """What an LLM may have besides: it reads what the caller says while they still say it."""

    async def foresee(self, messages: tuple[Message, ...]) -> None:
        """Read a conversation that will go on like this, without a reply; cheap, or nothing."""


@runtime_checkable
class Counted(Protocol):
    """What any stage may have besides: counters of its own, shown to operators."""

    def figures(self) -> Mapping[str, float]:
        """Return figures by name, at once: small letters and underscores, the unit at the end.

        A name that ends in "_total" never gets less, as long as the stage is open.
        """


class Tts(Protocol):
    """Speaks clauses."""

    async def run(self, voice: Voice, source: Source[Clause], sink: Sink[Speech]) -> None:
        """Send each clause's audio in order, the last piece marked ``last``."""


class Options(BaseModel):
    """The settings of a plug-in: subclass it beside the plug-in that reads them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Plugin(Generic[S]):
    """What a plug-in's entry point names; its kind and name are the entry point's.

    ``open(options, store)`` loads what calls share, warms it up, and lets it go at the end.
    ``models(options)`` names what must be in the model store before that.
    """

    options: type[Options]
    open: Callable[[Any, ModelStore], AbstractAsyncContextManager[S]]
    models: Callable[[Any], tuple[str, ...]] = lambda options: ()
