"""What turn-taking knows at a moment. Pure data."""

from __future__ import annotations

from dataclasses import dataclass


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
    ended_at: int | None = None  # the endpoint was decided, words are awaited
    forced: bool = False  # it was too long: it ends, whatever is still said
    known: bool | None = None  # whether the voice may have the word; none: not told yet


@dataclass(slots=True)
class Replying:
    """A reply that is prepared, made or played."""

    reply: int
    turn: int
    text: str
    audible: bool = False
    held: bool = False
