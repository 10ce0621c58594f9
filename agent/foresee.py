"""Lets the LLM read what the caller says while they still say it: then little is left to read."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from stages.contracts import Foresight, Llm
from stages.errors import StageError
from stages.events import Message

READINGS = 40
"""A turn, at most: who speaks for a minute is read to when they pause."""
READING_S = 20.0
"""Longest reading; it is given up then, and the reply reads what is left."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class Foreseeing:
    """The readings of one call, one at a time; more are passed over.

    Nothing comes of a reading but speed, so its failures are only noted.
    """

    tasks: TaskGroup
    _left: int = READINGS
    _reading: anyio.CancelScope | None = field(default=None)

    def read(self, llm: Llm, messages: tuple[Message, ...]) -> None:
        """Begin to read, if the LLM can, and no other reading is under way; never waits."""
        if self._reading is None and self._left and isinstance(llm, Foresight):
            self._left -= 1
            self._reading = anyio.CancelScope()
            self.tasks.start_soon(self._read, llm, messages, self._reading)

    def stop(self) -> None:
        """Leave the LLM to a reply."""
        if self._reading is not None:
            self._reading.cancel()

    def turn_over(self) -> None:
        """Allow the next turn its readings."""
        self._left = READINGS

    async def _read(
        self, llm: Foresight, messages: tuple[Message, ...], scope: anyio.CancelScope
    ) -> None:
        try:
            with scope, anyio.move_on_after(READING_S):
                await llm.foresee(messages)
        except* StageError:
            _log.info("the LLM did not read ahead", exc_info=True)
        finally:
            self._reading = None
