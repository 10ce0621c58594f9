"""Which slot of the model a conversation goes on in: the one that has read most of it. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

LAST = 0.25
"""What forgetting a character of the last message counts: mostly it is the same caller's, whose
words are guessed anew while they speak. They shared 24 of 82 characters with what they were."""


@dataclass(slots=True)
class _Slot:
    held: str = ""  # what it was asked to read last
    past: int = 0  # characters of it before the last message
    talks: bool = False  # a conversation, and not only how one opens
    used: int = 0
    busy: bool = False


class Slots:
    """The places in which a model keeps what it has read.

    The model's own choice looks at the words alone, and took the slot of another call as soon as
    that shared an "I" with a new one: then both read their conversation again.

    Args:
        count: how many there are.
    """

    def __init__(self, count: int) -> None:
        self._slots = [_Slot() for _ in range(count)]
        self._uses = 0

    def take(self, prompt: str, opening: int, past: int) -> int:
        """Take the free slot for a prompt.

        It is the one that has most of what follows the opening and has least else to forget. If
        none has read more of it than it would have to forget, it is one in which nobody talks yet,
        and else the one that was used least lately. One must be free.

        Args:
            prompt: what is to be read.
            opening: characters with which every call begins.
            past: characters before the last message.
        """
        free = [number for number, slot in enumerate(self._slots) if not slot.busy]
        mine = max(free, key=lambda number: self._gain(number, prompt, opening))
        if self._gain(mine, prompt, opening) <= 0:
            mine = min(free, key=lambda number: self._cost(number, prompt))
        self._taken(mine, prompt, past, talks=len(prompt) > opening)
        return mine

    def unread(self, opening: str) -> int | None:
        """Return the free slot that should read how calls open next; none: no more need to.

        Nobody talks in it, and it has not read this. If somebody talked in all of them, it is the
        one that was used least lately: so that a call that begins finds a place.
        """
        idle = [number for number, slot in enumerate(self._slots) if not slot.talks]
        for number in idle:
            slot = self._slots[number]
            if not (slot.busy or slot.held.startswith(opening)):
                return number
        free = [number for number, slot in enumerate(self._slots) if not slot.busy]
        if idle or not free:
            return None
        return min(free, key=lambda number: self._slots[number].used)

    def take_to_open(self, number: int, opening: str) -> None:
        """Take this slot to read how calls open."""
        self._taken(number, opening, len(opening), talks=False)

    def let_go(self, number: int) -> None:
        """Free a slot; what it has read stays there."""
        self._slots[number].busy = False

    def _read(self, number: int, prompt: str) -> int:
        held = self._slots[number].held
        longest = range(1, min(len(held), len(prompt)) + 1)
        return bisect_left(longest, True, key=lambda end: held[:end] != prompt[:end])

    def _gain(self, number: int, prompt: str, opening: int) -> float:
        slot, read = self._slots[number], self._read(number, prompt)
        lost = max(slot.past - read, 0) + LAST * (len(slot.held) - max(slot.past, read))
        return read - opening - lost

    def _cost(self, number: int, prompt: str) -> tuple[bool, int, int]:
        slot = self._slots[number]
        return slot.talks, 0 if slot.talks else -self._read(number, prompt), slot.used

    def _taken(self, number: int, prompt: str, past: int, *, talks: bool) -> None:
        self._uses += 1
        self._slots[number] = _Slot(prompt, past, talks, self._uses, busy=True)
