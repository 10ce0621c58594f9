"""Keeps memories beside the calls: nothing here ever holds one up.

A turn is handed over without waiting, and a thread writes it. After a call the profile's own LLM
sums up what fell out of the latest turns; a model that fails, or is too small to be trusted with
it, makes no summary, and those turns are dropped and counted. A disk that is full or broken costs
what was to be kept and one warning.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from agent.blame import blamed, first_sentence
from agent.errors import NotPossible
from agent.memory.block import sum_up
from agent.memory.record import (
    SUMMARY,
    Exchange,
    Memory,
    given_up,
    summed_up,
    with_turn,
)
from agent.memory.store import MemoryBook
from agent.profile import Profile
from agent.speakers import SpeakerBook
from stages.contracts import Llm, Sink
from stages.errors import StageError
from stages.events import ChatRequest, LlmEvent, TextDelta
from stages.threads import Workers

WAITING = 1_000
"""Turns that may wait for the disk; a newer one is refused and counted."""
TO_SUM_UP = 100
"""Memories that may wait for a summary; a newer one waits for the end of the next call."""
RECALL_S = 0.3
"""How long a reply waits for what is remembered."""
SUM_UP_S = 30.0
"""How long a summary may take."""
LOOK_S = 5.0
"""How long those who look after memories wait for the disk."""
CLOSING_S = 3.0
"""How long the last turns may take at the end."""

R = TypeVar("R")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Turn:
    name: str
    profile: Profile
    said: Exchange


@dataclass(frozen=True, slots=True)
class _Rest:
    name: str
    profile: Profile
    llm: Llm


@dataclass(eq=False)
class Memories:
    """What is remembered of known callers.

    Attributes:
        dropped: turns that were refused because too many waited for the disk.
        lost: turns that the disk did not take.
        sum_up_s: how long a summary may take.
    """

    book: MemoryBook
    speakers: SpeakerBook
    _sink: MemoryObjectSendStream[_Turn | _Rest]
    dropped: int = 0
    lost: int = 0
    sum_up_s: float = SUM_UP_S
    _owed: dict[str, dict[tuple[str, str], _Rest]] = field(default_factory=dict)  # by call
    _reading: Workers = field(default_factory=lambda: Workers(1))
    _writing: Workers = field(default_factory=lambda: Workers(1))
    _warned: bool = False

    # --- in a call --------------------------------------------------------------------------

    async def recall(self, name: str, profile: str) -> Memory | None:
        """Return what a character remembers of a person, within ``RECALL_S``.

        Raises:
            NotPossible: it cannot be read, or not in time.
        """
        return await _within(RECALL_S, self._reading, partial(self.book.get, name, profile))

    def keep(self, name: str, profile: Profile, llm: Llm, said: Exchange) -> None:
        """Keep a turn of a known speaker; never waits."""
        owed = self._owed.setdefault(said.call, {})
        owed[name, profile.id] = _Rest(name, profile, llm)
        self._put(_Turn(name, profile, said))

    def call_over(self, call: str) -> None:
        """Have what fell out of the latest turns summed up; never waits."""
        for rest in self._owed.pop(call, {}).values():
            self._put(rest)

    # --- for those who look after it --------------------------------------------------------

    async def all(self, name: str = "") -> list[Memory]:
        """Return what is remembered, of one person with a name.

        Raises:
            NotPossible: it cannot be read, or not in time.
        """
        return await _within(LOOK_S, self._reading, partial(self.book.all, name))

    async def forget(self, name: str) -> int:
        """Remove what is remembered of a person; return by how many characters.

        Raises:
            NotPossible: it cannot be written, or not in time.
        """
        return await _within(LOOK_S, self._writing, partial(self.book.forget, name))

    # --- beside the calls -------------------------------------------------------------------

    async def write(
        self,
        source: MemoryObjectReceiveStream[_Turn | _Rest],
        rests: MemoryObjectSendStream[_Rest],
    ) -> None:
        """Write turns until there are no more; cancelling loses those that wait."""
        async with source, rests:
            await self._tried(self.book.purge)
            async for item in source:
                if isinstance(item, _Turn):
                    change = partial(self._with, item)
                    work = partial(self.book.change, item.name, item.profile.id, change)
                    self.lost += not await self._tried(work)
                    continue
                try:
                    rests.send_nowait(item)
                except (anyio.WouldBlock, anyio.BrokenResourceError):  # or the server stops
                    _log.info("a summary is put off until after the next call")

    async def sum_up(self, source: MemoryObjectReceiveStream[_Rest]) -> None:
        """Make summaries, one at a time; cancelling leaves the rest for the next call's end."""
        async with source:
            async for rest in source:
                name, profile = rest.name, rest.profile
                try:
                    memory = await self._reading.run(partial(self.book.get, name, profile.id))
                except NotPossible as error:
                    self._warn(error)
                    continue
                if memory is None or not memory.fallen:
                    continue
                request = sum_up(memory, profile.language)
                summary = await summary_of(rest.llm, request, self.sum_up_s)
                change = partial(_summed, memory, summary)
                await self._tried(partial(self.book.change, name, profile.id, change))

    def _with(self, item: _Turn, before: Memory | None) -> Memory | None:
        """Take a turn into a memory, unless whose it is was forgotten meanwhile."""
        if all(known.name != item.name for known in self.speakers.read()):
            return None
        choice, at = item.profile.memory, item.said.at
        if choice is None:
            return None
        fresh = Memory(item.name, item.profile.id, secrets.token_hex(8), at, at, choice.days)
        return with_turn(before or fresh, item.said, choice.turns, choice.days)

    async def _tried(self, work: Callable[[], None]) -> bool:
        """Do work on the disk in its thread; false, after one warning, if it cannot be done."""
        try:
            await self._writing.run(work)
        except NotPossible as error:
            self._warn(error)
            return False
        return True

    def _warn(self, error: NotPossible) -> None:
        if not self._warned:
            _log.warning("Nothing is remembered: %s Calls go on.", error)
        self._warned = True

    def _put(self, item: _Turn | _Rest) -> None:
        try:
            self._sink.send_nowait(item)
        except (anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self.dropped += isinstance(item, _Turn)


def _summed(told: Memory, summary: str, now: Memory | None) -> Memory | None:
    """Take a summary in, unless what it was made of was forgotten or summed up meanwhile."""
    if now is None or (now.id, now.summary) != (told.id, told.summary):
        return None
    return summed_up(now, told.fallen, summary) if summary else given_up(now, told.fallen)


async def _within(seconds: float, workers: Workers, work: Callable[[], R]) -> R:
    try:
        with anyio.fail_after(seconds):
            return await workers.run(work)
    except TimeoutError:
        raise NotPossible(f"The disk did not answer within {seconds:g} s.") from None


async def summary_of(llm: Llm, request: ChatRequest, within_s: float) -> str:
    """Have a model sum up; empty if it cannot be trusted with it, fails, or takes too long."""
    if not getattr(llm, "writes_summaries", False):
        return ""
    try:
        with anyio.fail_after(within_s):
            return await _said_by(llm, request)
    except TimeoutError:
        _log.warning("no summary after %g s; what it was to hold is dropped", within_s)
    return ""


async def _said_by(llm: Llm, request: ChatRequest) -> str:
    """Return a reply, as much of it as is wanted; empty if it did not come to its end."""
    said: list[str] = []
    sink, source = anyio.create_memory_object_stream[LlmEvent](64)
    try:
        with sink, source:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_ask, llm, request, sink)
                async for event in source:
                    said += [event.text] if isinstance(event, TextDelta) else []
                    if sum(map(len, said)) > 2 * SUMMARY:
                        break
                tasks.cancel_scope.cancel()
    except* StageError as group:
        _log.warning("no summary; what it was to hold is dropped: %s", first_sentence(group))
        said.clear()
    return "".join(said).strip()


async def _ask(llm: Llm, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
    async with sink:
        with blamed("llm"):
            await llm.run(request, sink)


@asynccontextmanager
async def open_memories(folder: Path | None = None) -> AsyncIterator[Memories]:
    """Open the store; at the end, what waits is written within ``CLOSING_S``.

    Args:
        folder: where it lies, with the voices; the state folder if not given.
    """
    sink, source = anyio.create_memory_object_stream[_Turn | _Rest](WAITING)
    rest_in, rests = anyio.create_memory_object_stream[_Rest](TO_SUM_UP)
    memories = Memories(MemoryBook(folder), SpeakerBook(folder), sink)
    writing = anyio.CancelScope(shield=True)  # a cancelled server still keeps its last turns
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_until, writing, memories, source, rest_in)
        tasks.start_soon(memories.sum_up, rests)
        try:
            yield memories
        finally:
            sink.close()
            writing.deadline = anyio.current_time() + CLOSING_S
            tasks.cancel_scope.cancel()


async def _until(
    scope: anyio.CancelScope,
    memories: Memories,
    source: MemoryObjectReceiveStream[_Turn | _Rest],
    rests: MemoryObjectSendStream[_Rest],
) -> None:
    with scope:
        await memories.write(source, rests)
