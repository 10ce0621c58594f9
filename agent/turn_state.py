"""What turn-taking knows at a moment. Pure data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.endpoint import Evidence


@dataclass(slots=True)
class Utterance:
    """What the caller is saying."""

    number: int
    start: int  # of speech, without pre-roll
    last_speech: int  # position after the last speech
    silent: bool = False  # a pause is on
    asked_at: int | None = None  # the pause's AskFinal
    text: str | None = None  # the final for it
    complete: float | None = None
    endpoint: bool = False  # by the recogniser's own rules it is over
    ended_at: int | None = None  # the endpoint was decided, words are awaited
    forced: bool = False  # it was too long: it ends, whatever is still said
    known: bool | None = None  # whether the voice may have the word; none: not told yet

    def evidence(self, pauses_ms: Sequence[float]) -> Evidence:
        """Return what is known at its pause, with what the caller's pauses were like."""
        return Evidence(self.complete, self.text, tuple(pauses_ms), self.endpoint)


@dataclass(slots=True)
class Replying:
    """A reply that is prepared, made or played."""

    reply: int
    turn: int
    text: str
    audible: bool = False
    held: bool = False
