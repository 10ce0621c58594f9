"""What waits for the broker. Putting never waits; what has no room is dropped and counted."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from itertools import count

import anyio
from pydantic import BaseModel

RECORDS = 1_000
"""Latency records that wait, at most: the oldest gives way."""
OTHERS = 10_000
"""Everything else that waits, at most. Hours of talk: it is a bound, not a policy."""


@dataclass(frozen=True, slots=True, eq=False)
class Letter:
    """A message for the broker.

    Attributes:
        latest: only the newest of this topic matters: a waiting one is replaced.
        record: it is a latency record.
    """

    topic: str
    body: BaseModel | str
    retain: bool = False
    latest: bool = False
    record: bool = False

    def payload(self) -> bytes:
        """Return it as it goes over the wire."""
        if isinstance(self.body, str):
            return self.body.encode()
        return self.body.model_dump_json().encode()


@dataclass(eq=False)
class Outbox:
    """A line of letters, first in, first out.

    Attributes:
        dropped_records: latency records that gave way.
        dropped_others: other letters that gave way.
    """

    records: int = RECORDS
    others: int = OTHERS
    dropped_records: int = 0
    dropped_others: int = 0
    _waiting: OrderedDict[str | int, Letter] = field(default_factory=OrderedDict)
    _records: deque[int] = field(default_factory=deque)  # the keys of those that wait
    _others: deque[int] = field(default_factory=deque)  # and of those that are no state either
    _keys: count[int] = field(default_factory=count)
    _news: anyio.Event = field(default_factory=anyio.Event)
    _emptied: anyio.Event = field(default_factory=anyio.Event)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, letter: Letter) -> None:
        """Add a letter; never waits."""
        if letter.latest:
            self._waiting[letter.topic] = letter  # in the place of the one that it replaces
        elif letter.record:
            self._put_record(letter)
        else:
            self._put_other(letter)
        self._news.set()

    async def first(self) -> tuple[str | int, Letter]:
        """Wait for the oldest letter; it stays until ``sent`` is told its key."""
        while not self._waiting:
            self._news = anyio.Event()
            await self._news.wait()
        return next(iter(self._waiting.items()))

    async def empty(self) -> None:
        """Wait until nothing waits."""
        while self._waiting:
            self._emptied = anyio.Event()
            await self._emptied.wait()

    def sent(self, key: str | int, letter: Letter) -> None:
        """Take a letter out, unless a newer one has taken its place meanwhile."""
        if self._waiting.get(key) is letter:
            del self._waiting[key]
            line = self._records if letter.record else self._others
            if line and line[0] == key:
                line.popleft()
        if not self._waiting:
            self._emptied.set()

    def _put_record(self, letter: Letter) -> None:
        if len(self._records) >= self.records:
            del self._waiting[self._records.popleft()]
            self.dropped_records += 1
        key = next(self._keys)
        self._records.append(key)
        self._waiting[key] = letter

    def _put_other(self, letter: Letter) -> None:
        if len(self._others) >= self.others:
            del self._waiting[self._others.popleft()]
            self.dropped_others += 1
        key = next(self._keys)
        self._others.append(key)
        self._waiting[key] = letter
