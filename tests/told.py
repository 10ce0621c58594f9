"""What is logged, for tests that wait for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Told(logging.Handler):
    """Notes warnings, and lets a test wait for one; for what is said in the test's own thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []
        self._news = anyio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())
        self._news.set()
        self._news = anyio.Event()

    async def of(self, words: str) -> str:
        """Wait until a warning has these words in it, and return it."""
        with anyio.fail_after(30):
            while not (found := [one for one in self.sentences if words in one]):
                await self._news.wait()
        return found[0]


@contextmanager
def told_by(logger: str) -> Iterator[Told]:
    """Note what a logger and those below it warn of, as long as the block lasts."""
    told = Told()
    logging.getLogger(logger).addHandler(told)
    try:
        yield told
    finally:
        logging.getLogger(logger).removeHandler(told)
