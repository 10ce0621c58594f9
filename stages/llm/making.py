"""One reply of SmolLM being made, in one go or, where others go first meanwhile, in several."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from stages.events import ChatRequest, LlmEvent, TextDelta, Usage
from stages.llm.fitting import START, START_TOKEN, asked
from stages.llm.floor import Floor, Work
from stages.threads import Workers

if TYPE_CHECKING:
    import xllamacpp

LOOPS: Mapping[str, Any] = {
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
    "dry_sequence_breakers": ["\n"],
}
"""A model this small falls into loops ("I'm sorry. I'm sorry. …"): DRY makes repeating more than
three tokens dearer the longer it goes on, and leaves all else alone; a plain repetition penalty
made one answer in three worse. Every breaker is looked for in the whole vocabulary at the begin
of each reply: with the usual four of them the first token came 17 ms later."""

Reads: TypeAlias = Literal["opening", "ahead"]
"""What is read without a reply: how calls open, or what a caller has said so far."""


class Reply:
    """One reply being made: the model's thread puts events in, the loop takes them out.

    It is made in one go, or, where others go first meanwhile, in several: the model then goes on
    from the words that it has said.
    """

    def __init__(
        self,
        floor: Floor,
        events: MemoryObjectSendStream[LlmEvent],
        request: ChatRequest,
        reads: Reads | None,
    ) -> None:
        self._floor, self._events = floor, events
        self.request, self.reads = request, reads
        self._loop = asyncio.get_running_loop()
        self._unwanted, self._rest = threading.Event(), threading.Event()
        self._runs = False  # in the model's thread, or on the way there
        self._turn = anyio.Event()
        self._words: list[str] = []  # a token each
        self._cached: int | None = None  # tokens that had been read before it began
        self.work = Work(self._begin, self._rest.set, reading=reads is not None)
        self.error: dict[str, Any] | None = None
        self.complete = False
        self._left: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """Make the model stop at its next token."""
        self._unwanted.set()

    async def turn(self) -> None:
        """Wait until it may use the model, alone; ``leave`` gives that back, and each ``make``."""
        self._turn = anyio.Event()
        self._rest.clear()
        self._floor.ask(self.work)
        await self._turn.wait()

    def leave(self, left: Callable[[], None]) -> None:
        """Stop it, and have ``left`` called once no thread makes it: perhaps now."""
        self.stop()
        if self._runs:
            self._left = left
        else:
            self._floor.leave(self.work)
            left()

    async def make(self, workers: Workers, server: xllamacpp.Server, slot: int) -> None:
        """Make the reply, or more of it; the model's thread may outlive all interest."""
        self.complete = self._runs = True
        await workers.run(partial(self._make, server, slot), self._over)

    def take(self, chunk: dict[str, Any]) -> bool:
        """Take a piece of the answer, in the model's thread; True makes the model stop.

        The loop is told without waiting for it: a thread that waits for a loop that has ended
        would wait for ever.
        """
        if self._unwanted.is_set():
            return True
        if self._cached is None and "timings" in chunk:
            self._cached = chunk["timings"]["cache_n"]
        made = len(self._words)
        words = _tokens(chunk)
        self._words += words
        try:
            self._loop.call_soon_threadsafe(self._put, chunk, made)
        except RuntimeError:  # the loop is closed
            return True
        # Not in the middle of a letter: until it is whole, its tokens have no text.
        more = any(words) and len(self._words) < self.request.max_tokens
        self.complete = not (more and self._rest.is_set())
        return not self.complete

    def _make(self, server: xllamacpp.Server, slot: int) -> None:
        server.handle_completions(self._body(slot), self.take)

    def _begin(self) -> None:
        self._turn.set()

    def _over(self) -> None:
        self._runs = False
        self._floor.leave(self.work)
        self._left()

    def _put(self, chunk: dict[str, Any], made: int) -> None:
        self.error = self.error or chunk.get("error")
        for event in _events(chunk, made, self._cached or 0):
            try:
                self._events.send_nowait(event)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.WouldBlock):
                self.stop()
        for token in _tokens(chunk):
            self.work.made(token)
        self.work.unread = self._events.statistics().current_buffer_used
        self._floor.look()

    def _body(self, slot: int) -> dict[str, Any]:
        prompt: str | list[str | int] = asked(self.request.messages)
        if self._words:
            # The words apart, as each is a token: together they might be read as others. Only with
            # a number among them are they one prompt, and not many.
            said = (word for word in self._words if word)
            prompt = [START_TOKEN, asked(self.request.messages).removeprefix(START), *said]
        return {
            "id_slot": slot,
            "prompt": prompt,
            "temperature": self.request.temperature,
            "max_tokens": self.request.max_tokens - len(self._words),
            "stream": True,
            "stream_options": {"include_usage": True},
            "timings_per_token": True,
            "cache_prompt": True,
            **(LOOPS if self.request.max_tokens > 1 else {}),
        }


def _tokens(chunk: dict[str, Any]) -> list[str]:
    """Return the text of each token in it; the last chunk has none."""
    choices = chunk.get("choices", ())
    return [choice["text"] for choice in choices if not choice.get("finish_reason")]


def _events(chunk: dict[str, Any], made: int, cached: int) -> list[LlmEvent]:
    """Return what a chunk says.

    Args:
        chunk: as it came.
        made: tokens of the reply before it.
        cached: tokens that had been read before the reply was begun.
    """
    events: list[LlmEvent] = [
        TextDelta(choice["text"]) for choice in chunk.get("choices", ()) if choice.get("text")
    ]
    if usage := chunk.get("usage"):
        total = usage["total_tokens"]
        events.append(Usage(total - made, made, cached))
    return events
