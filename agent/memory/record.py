"""What is kept of a caller's turns: the latest as they were heard, the older ones summed up.

Pure. Every turn that was ever taken in is accounted for: it is among ``turns``, has fallen out of
them and waits to be summed up, is in the summary, or was dropped and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

LONGEST = 600
"""Characters of what either side said in one turn; a longer text is cut at its end."""
SUMMARY = 1_200
"""Characters of a summary."""
FALLEN = 6_000
"""Characters of turns that wait to be summed up, all together; the oldest are dropped first."""

_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One turn: what a caller said, and what they heard of the reply."""

    call: str
    turn: int
    at: str  # wall clock, ISO 8601
    caller: str
    reply: str
    cut: bool  # the reply was interrupted; ``reply`` ends there


@dataclass(frozen=True, slots=True)
class Memory:
    """What one character remembers of one person."""

    name: str  # of the person, as they were enrolled
    profile: str  # id of the character
    id: str  # a memory that was forgotten and begun anew has another one
    since: str  # wall clock, ISO 8601
    latest: str  # wall clock, ISO 8601
    days: int  # after the latest turn it is forgotten
    summary: str = ""
    turns: tuple[Exchange, ...] = ()
    fallen: tuple[Exchange, ...] = ()  # no longer among the latest, not in the summary yet
    summed: int = 0  # turns that the summary was made of
    dropped: int = 0  # turns that nothing is left of


def exchange(call: str, turn: int, at: str, said: tuple[str, str], cut: bool) -> Exchange:
    """Make an exchange of what was said and heard, each on one line and cut to ``LONGEST``."""
    caller, reply = (shortened(text, LONGEST) for text in said)
    return Exchange(call, turn, at, caller, reply, cut)


def with_turn(memory: Memory, new: Exchange, window: int, days: int) -> Memory:
    """Take in a turn; one of the same call and number is replaced.

    Args:
        memory: what was remembered before.
        new: the newest turn.
        window: turns that are kept word for word, at least 1.
        days: after which all of it is forgotten.
    """
    kept = [one for one in memory.turns if (one.call, one.turn) != (new.call, new.turn)]
    turns = [*kept, new]
    fallen, lost = _fitting([*memory.fallen, *turns[:-window]])
    return replace(
        memory,
        latest=new.at,
        days=days,
        turns=tuple(turns[-window:]),
        fallen=fallen,
        dropped=memory.dropped + lost,
    )


def summed_up(memory: Memory, told: tuple[Exchange, ...], summary: str) -> Memory:
    """Take in a summary that was made of the old one and these turns."""
    left = _without(memory.fallen, told)
    gone = len(memory.fallen) - len(left)
    return replace(
        memory, summary=shortened(summary, SUMMARY), fallen=left, summed=memory.summed + gone
    )


def given_up(memory: Memory, told: tuple[Exchange, ...]) -> Memory:
    """Drop turns of which no summary could be made: better nothing than something invented."""
    left = _without(memory.fallen, told)
    return replace(memory, fallen=left, dropped=memory.dropped + len(memory.fallen) - len(left))


def is_over(memory: Memory, now: datetime) -> bool:
    """Tell whether it is so long ago that it is to be forgotten."""
    return now - datetime.fromisoformat(memory.latest) > timedelta(days=memory.days)


def shortened(text: str, longest: int) -> str:
    """Return a text on one line, without what cannot be seen, and cut to so many characters."""
    text = _SPACE.sub(" ", text).strip()
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _without(some: Iterable[Exchange], told: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
    gone = {(one.call, one.turn) for one in told}
    return tuple(one for one in some if (one.call, one.turn) not in gone)


def _fitting(fallen: list[Exchange]) -> tuple[tuple[Exchange, ...], int]:
    """Return the newest turns that may wait, and how many older ones may not."""
    room, first = FALLEN, len(fallen)
    while first:
        room -= len(fallen[first - 1].caller) + len(fallen[first - 1].reply)
        if room < 0:
            break
        first -= 1
    return tuple(fallen[first:]), first
