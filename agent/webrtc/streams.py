"""A bounded stream that never makes its writer wait: when full, the oldest goes."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import anyio
from anyio.abc import ObjectReceiveStream

T = TypeVar("T")


class Inlet(ObjectReceiveStream[T], Generic[T]):
    """What comes in from outside, for one reader.

    Attributes:
        dropped: items that the reader was too slow for.

    Args:
        size: items kept at most.
    """

    def __init__(self, size: int) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._news = anyio.Event()
        self._ended = False
        self._closed = False
        self.dropped = 0

    def put(self, item: T) -> None:
        """Add an item; after the end it is ignored."""
        if self._ended or self._closed:
            return
        if len(self._items) >= self._size:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._news.set()

    def end(self) -> None:
        """Say that nothing more comes; what is there can still be read."""
        self._ended = True
        self._news.set()

    @property
    def waiting(self) -> int:
        """Items that were not read yet."""
        return len(self._items)

    async def receive(self) -> T:
        """Return the next item; cancelling loses none.

        Raises:
            anyio.EndOfStream: nothing more comes.
            anyio.ClosedResourceError: this end was closed.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        while not self._items:
            if self._closed:
                raise anyio.ClosedResourceError
            if self._ended:
                raise anyio.EndOfStream
            self._news = anyio.Event()
            await self._news.wait()
        return self._items.popleft()

    async def aclose(self) -> None:
        """Stop reading; what is there and what still comes is thrown away."""
        self._closed = True
        self._items.clear()
        self._news.set()
