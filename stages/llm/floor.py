"""Whose turn it is at a model that serves one at a time. Pure: it is told, and calls back at once.

A model of this size is not made faster by company: a token for one took 13 ms, for two at once 38,
for four 50. So there is one at a time, and what somebody waits for goes first: a reply is made a
clause at a time, and who has had fewest clauses is next. Before its third clause a reply speaks
for seconds already; so reading ahead, which somebody will wait for soon, goes before that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

CLAUSE = 12
"""Tokens of a clause that no mark has ended: nine of ten first clauses have fewer."""
SHORTEST = 4
"""Tokens from which a mark ends one, as in "I'm sorry,": its voice can speak then, and others go
first. Half of all first clauses have six or seven."""
MARKS = (",", ".", ";", ":", "?", "!")

_CLAUSES_BEFORE_READING = 2


@dataclass(eq=False)
class Work:
    """A reply that is being made, or something that is read ahead.

    Args:
        begin: called when it is its turn; it ends that with ``Floor.leave``.
        rest: called, perhaps more than once, when others should go first: then it shall leave as
            soon as it can, and ask again. Reading is done in one step and does not listen.
        reading: it is read ahead, and no reply.
        clauses: so many are made.
        unread: tokens that nobody has taken; a guess is not read to its end.
    """

    begin: Callable[[], None]
    rest: Callable[[], None]
    reading: bool = False
    clauses: int = 0
    unread: int = 0
    _tokens: int = 0  # of the next clause

    def made(self, token: str) -> None:
        """Count a token."""
        self._tokens += 1
        marked = self._tokens >= SHORTEST and token.rstrip().endswith(MARKS)
        if marked or self._tokens >= CLAUSE:
            self.clauses, self._tokens = self.clauses + 1, 0

    @property
    def rank(self) -> tuple[int, int]:
        """What goes first has less."""
        if self.reading:
            return 0, 2 * _CLAUSES_BEFORE_READING - 1
        return int(self.unread > CLAUSE), 2 * self.clauses


@dataclass(eq=False)
class Floor:
    """Gives the model to one at a time; first come first served among equals."""

    _holder: Work | None = None
    _waiting: list[Work] = field(default_factory=list)

    def ask(self, work: Work) -> None:
        """Wait for a turn; it may begin before this returns."""
        self._waiting.append(work)
        self.look()

    def leave(self, work: Work) -> None:
        """End a turn, or wait for none any more."""
        if work is self._holder:
            self._holder = None
        elif work in self._waiting:
            self._waiting.remove(work)
        self.look()

    def begins_a_reply(self) -> bool:
        """Tell whether a reply is at its begin, being made or waiting for its turn."""
        works = self._waiting if self._holder is None else [self._holder, *self._waiting]
        return any(not work.reading and not work.clauses for work in works)

    def look(self) -> None:
        """Let the first of the line begin, or who has the turn rest; call it as ranks change."""
        if not self._waiting:
            return
        first = min(self._waiting, key=lambda work: work.rank)
        if self._holder is None:
            self._waiting.remove(first)
            self._holder = first
            first.begin()
        elif first.rank < self._holder.rank and not self._holder.reading:
            self._holder.rest()
