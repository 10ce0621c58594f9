"""SmolLM2-135M in this process: a brain for demonstrations without a network, not an assistant."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

# Threads of the model wait for each other after every matrix. By default they burn 100,000 rounds
# before they sleep, which another process on the same core turns into a standstill: with one
# beside it, a question was read in 193 ms instead of 78. Read by libgomp when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "300")

import anyio
import xllamacpp
from anyio import to_thread
from anyio.streams.memory import MemoryObjectSendStream
from pydantic import Field

from stages.contracts import Llm, Options, Plugin, Sink
from stages.errors import Transient, Unusable
from stages.events import ChatRequest, LlmEvent, Message, TextDelta, Usage
from stages.llm.eight_bits import in_eight_bits
from stages.llm.fitting import STAGE, alternating, fitted, shorter, tokens_in
from stages.models import ModelStore
from stages.threads import Workers

_log = logging.getLogger(__name__)

MODEL = "smollm2-135m"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FAST_FILE = "SmolLM2-135M-Instruct.Q8_0.gguf"
"""Made of the other one at the first start: ``stages.llm.eight_bits`` says why."""

WAITING = 16
"""Requests that may wait for a slot; more are refused at once."""

SLOTS = 4
"""Replies made at once, if nothing else is set. Together they take as long as one after another,
but a caller waits for the first clause, not for the last: of four requests at once, the slowest
had its eighth token after 5.0 s instead of 10.3 with two (on cores that were busy otherwise).
Each takes 47 MB."""

SILENCE = 30.0
"""Seconds without a token, waiting for a slot included, after which a reply is given up."""

SETTLING = 0.2
"""Seconds that a cancelled reply may take to reach its next token."""

PROMPT_CACHE_MB = 128
"""For conversations that are between two turns; one token of it takes 23 kB."""

REPLY = 256
"""Tokens kept free for a reply, at least, so that reading ahead and replying read the same."""

OPENINGS = 32
"""Beginnings of conversations that are remembered; the oldest is forgotten."""

LOOPS: Mapping[str, Any] = {
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
    "dry_sequence_breakers": ["\n"],
}
"""A model this small falls into loops ("I'm sorry. I'm sorry. …"): DRY makes repeating more than
three tokens dearer the longer it goes on, and leaves all else alone; a plain repetition penalty
made one answer in three worse. Every breaker is looked for in the whole vocabulary at the begin
of each reply: with the usual four of them the first token came 17 ms later."""


def _threads() -> int:
    """Leave a core to everything else: measured, a full house makes the model six times slower.

    So it is for the words of a question, too. Eight tokens of one take 34 ms on both of two cores
    that do nothing else, 44 ms on one; but 56 on both in a call, where each wait for the other
    core is a wait for what runs there.
    """
    return max(1, min(4, (os.cpu_count() or 1) - 1))


class SmollmOptions(Options):
    """The settings of ``smollm``."""

    threads: int = Field(default_factory=_threads, ge=1, le=64, description="that write a reply")
    reading_threads: int = Field(
        default_factory=_threads, ge=1, le=64, description="that read what was said"
    )
    slots: int = Field(SLOTS, ge=1, le=16, description="replies made at the same time")
    context: int = Field(2048, ge=512, le=8192, description="tokens of one conversation")


class _TooLong(Exception):
    """The conversation does not fit into the context."""


class _Reply:
    """One reply being made: the model's thread puts events in, the loop takes them out."""

    def __init__(self, events: MemoryObjectSendStream[LlmEvent]) -> None:
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._unwanted = threading.Event()
        self.error: dict[str, Any] | None = None
        self.begun = False
        self.over = anyio.Event()

    def stop(self) -> None:
        """Make the model stop at its next token."""
        self._unwanted.set()

    def make(self, server: xllamacpp.Server, body: dict[str, Any]) -> None:
        """Make the reply; in the model's thread, which may outlive everybody's interest in it."""
        self.begun = True
        try:
            server.handle_chat_completions(body, self.take)
        finally:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.over.set)

    def take(self, chunk: dict[str, Any]) -> bool:
        """Take a piece of the answer, in the model's thread; True makes the model stop.

        The loop is told without waiting for it: a thread that waits for a loop that has ended
        would wait for ever.
        """
        if self._unwanted.is_set():
            return True
        try:
            self._loop.call_soon_threadsafe(self._put, chunk)
        except RuntimeError:  # the loop is closed
            return True
        return False

    def _put(self, chunk: dict[str, Any]) -> None:
        self.error = self.error or chunk.get("error")
        for event in _events(chunk):
            try:
                self._events.send_nowait(event)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.WouldBlock):
                self.stop()


class SmollmLlm:
    """One model for all calls; each conversation keeps a slot's memory of its beginning."""

    def __init__(self, server: xllamacpp.Server, options: SmollmOptions) -> None:
        self._server: xllamacpp.Server | None = server
        self._options = options
        self._workers = Workers(options.slots)
        self._waiting = 0
        self._ending: set[_Reply] = set()
        self._openings: deque[tuple[Message, ...]] = deque(maxlen=OPENINGS)

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """Read these messages, so that a request that begins with them is answered sooner.

        Every slot reads them, one after another, as long as nobody asks for a reply. Cancelling
        returns at once; the model reads the rest of what it has begun, a second at most.

        Raises:
            Transient: too many requests are waiting.
        """
        size = sum(tokens_in(one) for one in messages)
        if messages not in self._openings and size < self._options.context / 2:
            self._openings.append(messages)  # a longer one could not stay
        request = ChatRequest(messages, temperature=0.0, max_tokens=1)
        for slot in range(self._options.slots):
            if slot and self._waiting:
                return
            sink, events = anyio.create_memory_object_stream[LlmEvent](4)
            async with events:
                await self._run(request, sink, slot)

    async def foresee(self, messages: tuple[Message, ...]) -> None:
        """Read what the conversation has come to, into the slot that has read most of it.

        Nothing is done while anybody waits for a reply: theirs comes first. Cancelling returns
        at once; the model reads the rest of what it has begun.
        """
        if self._waiting:
            return
        sink, events = anyio.create_memory_object_stream[LlmEvent](4)
        async with events:
            await self._run(ChatRequest(messages, temperature=0.0, max_tokens=1), sink, -1)

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        """Send the reply piece by piece, ``Usage`` last; cancelling stops the model at a token.

        A conversation that does not fit loses its oldest messages, but never what ``warm`` was
        told that it opens with.

        Raises:
            Transient: too many requests are waiting, or the model fell silent.
            Unusable: the last message alone does not fit.
        """
        await self._run(request, sink, -1)

    def figures(self) -> Mapping[str, float]:
        """Return the slots, how many are busy, and the requests (and readings) that wait."""
        workers = self._workers
        taken, waiting = workers.taken, workers.waiting
        return {"slots": self._options.slots, "slots_busy": taken, "waiting": waiting}

    async def _run(self, request: ChatRequest, sink: Sink[LlmEvent], slot: int) -> None:
        async with sink:
            messages = alternating(request).messages
            opening = self._opening(messages)
            room = max(self._options.context - max(request.max_tokens, REPLY), 1)
            messages = fitted(messages, room, opening)
            if self._waiting >= self._options.slots + WAITING:
                raise Transient(STAGE, f"{WAITING} requests are waiting already")
            self._waiting += 1
            try:
                while True:
                    try:
                        await self._reply(_body(messages, request, slot), sink)
                        return
                    except _TooLong:
                        messages = shorter(messages, opening)
            finally:
                self._waiting -= 1

    def _opening(self, messages: tuple[Message, ...]) -> int:
        """Return how many of the first messages stay, whatever else has to go."""
        known = (len(one) for one in self._openings if messages[: len(one)] == one)
        system = 1 if messages and messages[0].role == "system" else 0
        return max([system, *known])

    async def close(self) -> None:
        """Wait until no thread uses the model, 5 s at most, and let it go."""
        together = threading.Barrier(self._options.slots)
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(5):
                async with anyio.create_task_group() as tasks:
                    for _ in range(self._options.slots):
                        tasks.start_soon(self._workers.run, partial(_meet, together))
            await to_thread.run_sync(self._forget)

    def _forget(self) -> None:
        self._server = None

    async def _reply(self, body: dict[str, Any], sink: Sink[LlmEvent]) -> None:
        # Room for every token and what surrounds them: it never fills.
        give, take = anyio.create_memory_object_stream[LlmEvent](body["max_tokens"] + 8)
        reply = _Reply(give)
        await self._settled()
        with give, take:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._make, reply, body, give)
                try:
                    while True:
                        with anyio.fail_after(SILENCE):
                            event = await take.receive()
                        await sink.send(event)
                except anyio.EndOfStream:
                    pass
                except TimeoutError:
                    raise Transient(STAGE, f"silent for {SILENCE:.0f} s") from None
                finally:
                    reply.stop()
                    if reply.begun:
                        self._ending.add(reply)
                    tasks.cancel_scope.cancel()
        if reply.error is not None:
            raise _failure(reply.error)

    async def _make(
        self, reply: _Reply, body: dict[str, Any], give: MemoryObjectSendStream[LlmEvent]
    ) -> None:
        server = self._server
        if server is None:
            raise Unusable(STAGE, "it is closed")
        await self._workers.run(partial(reply.make, server, body))
        give.close()  # what the model said last was put in before this ran

    async def _settled(self) -> None:
        """Wait for cancelled replies to reach their next token, which frees their slots.

        A new reply mostly goes on with the same conversation: in another slot the model would
        have to read it from the start.
        """
        with anyio.move_on_after(SETTLING):
            for reply in tuple(self._ending):
                await reply.over.wait()
        self._ending = {reply for reply in self._ending if not reply.over.is_set()}


def _meet(together: threading.Barrier) -> None:
    with suppress(threading.BrokenBarrierError):
        together.wait(5)


def _body(messages: tuple[Message, ...], request: ChatRequest, slot: int) -> dict[str, Any]:
    return {
        "id_slot": slot,  # -1: the one that has read most of this already
        "messages": [{"role": one.role, "content": one.content} for one in messages],
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        "cache_prompt": True,
        **(LOOPS if request.max_tokens > 1 else {}),
    }


def _events(chunk: dict[str, Any]) -> list[LlmEvent]:
    events: list[LlmEvent] = [
        TextDelta(choice["delta"]["content"])
        for choice in chunk.get("choices", ())
        if choice.get("delta", {}).get("content")
    ]
    if usage := chunk.get("usage"):
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        events.append(Usage(usage["prompt_tokens"], usage["completion_tokens"], cached))
    return events


def _failure(error: dict[str, Any]) -> Exception:
    if error.get("type") == "exceed_context_size_error":
        return _TooLong()
    sentence = str(error.get("message", error))
    return Unusable(STAGE, sentence) if error.get("code") == 400 else Transient(STAGE, sentence)


def _load(file: Path, options: SmollmOptions) -> xllamacpp.Server:
    settings = xllamacpp.CommonParams()
    settings.model.path = str(file)
    settings.cpuparams.n_threads = options.threads
    settings.cpuparams_batch.n_threads = options.reading_threads
    settings.n_parallel = options.slots
    settings.n_ctx = options.slots * options.context
    settings.cache_ram_mib = PROMPT_CACHE_MB
    settings.verbosity = -1
    # The library opens a port whether we want one or not: nobody else shall use it.
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.api_keys = [secrets.token_hex(32)]
    settings.n_threads_http = 1
    settings.ui = settings.endpoint_slots = settings.endpoint_props = False
    settings.offline = True
    return xllamacpp.Server(settings)


def fastest(folder: Path) -> Path:
    """Return the file to load: the fast one, or the one there is where it cannot be written."""
    fast = folder / FAST_FILE
    if not fast.exists():
        try:
            in_eight_bits(folder / FILE, fast)
        except OSError:
            _log.info("%s is loaded as it is: no room for a faster copy", FILE, exc_info=True)
            return folder / FILE
    return fast


@asynccontextmanager
async def _open(options: SmollmOptions, store: ModelStore) -> AsyncIterator[SmollmLlm]:
    folder = await to_thread.run_sync(store.path, MODEL)
    file = await to_thread.run_sync(fastest, folder)
    llm = SmollmLlm(await to_thread.run_sync(_load, file, options), options)
    try:
        await llm.warm((Message("user", "Hello."),))
        yield llm
    finally:
        await llm.close()


plugin: Plugin[Llm] = Plugin(SmollmOptions, _open, lambda options: (MODEL,))
