"""SmolLM2-135M in this process: a brain for demonstrations without a network, not an assistant."""

from __future__ import annotations

import logging
import os
import secrets
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
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
from stages.events import ChatRequest, LlmEvent, Message
from stages.llm.eight_bits import in_eight_bits
from stages.llm.fitting import STAGE, alternating, fitted, shorter, tokens_in, written
from stages.llm.floor import Floor
from stages.llm.making import Reads, Reply
from stages.llm.slots import Slots
from stages.models import ModelStore
from stages.threads import Workers

_log = logging.getLogger(__name__)

MODEL = "smollm2-135m"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
FAST_FILE = "SmolLM2-135M-Instruct.Q8_0.gguf"
"""Made of the other one at the first start: ``stages.llm.eight_bits`` says why."""

WAITING = 16
"""Requests that may wait for a slot; more are refused at once."""

SLOTS = 8
"""Conversations that are kept, if nothing else is set: one that has to give up its slot is read
again from its opening on, 5 ms a token. Each takes 47 MB."""

CLOSING = 5.0
"""Seconds that what is being made may take to end when the model is let go."""

SILENCE = 30.0
"""Seconds without a token, waiting for a slot included, after which a reply is given up."""

PROMPT_CACHE_MB = 128
"""For how calls open, and conversations that lost their slot: a slot gets from there what another
has read. One token of it takes 23 kB."""

REPLY = 256
"""Tokens kept free for a reply, at least, so that reading ahead and replying read the same."""

OPENINGS = 32
"""Beginnings of conversations that are remembered; the oldest is forgotten."""


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
    slots: int = Field(SLOTS, ge=1, le=16, description="conversations that are kept")
    context: int = Field(2048, ge=512, le=8192, description="tokens of one conversation")


class _TooLong(Exception):
    """The conversation does not fit into the context."""


class SmollmLlm:
    """One model for all calls, for one at a time; a conversation keeps a slot's memory of it."""

    def __init__(self, server: xllamacpp.Server, options: SmollmOptions) -> None:
        self._server: xllamacpp.Server | None = server
        self._options = options
        self._workers = Workers(1)
        self._floor, self._slots = Floor(), Slots(options.slots)
        self._room = anyio.Semaphore(options.slots)
        self._waiting = 0
        self._openings: deque[tuple[Message, ...]] = deque(maxlen=OPENINGS)

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """Read these messages, so that a request that begins with them is answered sooner.

        Every slot in which nobody talks reads them, one after another, as long as nobody waits for
        a reply. Cancelling returns at once; the model reads the rest of what it has begun, a second
        at most.

        Raises:
            Transient: too many requests are waiting.
        """
        size = sum(tokens_in(one) for one in messages)
        if messages not in self._openings and size < self._options.context / 2:
            self._openings.append(messages)  # a longer one could not stay
        for _ in range(self._options.slots):
            if self._floor.begins_a_reply() or self._slots.unread(written(messages)) is None:
                return
            await self._read(messages, "opening")

    async def foresee(self, messages: tuple[Message, ...]) -> None:
        """Read what the conversation has come to, into the slot that has read most of it.

        Nothing is done while anybody waits for the begin of a reply: theirs comes first. Cancelling
        returns at once; the model reads the rest of what it has begun.
        """
        if not self._floor.begins_a_reply() and self._room.value:
            await self._read(messages, "ahead")

    async def _read(self, messages: tuple[Message, ...], reads: Reads) -> None:
        sink, events = anyio.create_memory_object_stream[LlmEvent](4)
        async with events:
            await self._run(ChatRequest(messages, 0.0, 1), sink, reads=reads)

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        """Send the reply piece by piece, ``Usage`` last; cancelling stops the model at a token.

        A conversation that does not fit loses its oldest messages, but never what ``warm`` was
        told that it opens with.

        Raises:
            Transient: too many requests are waiting, or the model fell silent.
            Unusable: the last message alone does not fit.
        """
        await self._run(request, sink)

    def figures(self) -> Mapping[str, float]:
        """Return the slots, how many are busy, and the requests (and readings) that wait."""
        slots, waiting = self._options.slots, self._room.statistics().tasks_waiting
        return {"slots": slots, "slots_busy": slots - self._room.value, "waiting": waiting}

    async def _run(
        self, request: ChatRequest, sink: Sink[LlmEvent], *, reads: Reads | None = None
    ) -> None:
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
                        await self._reply(replace(request, messages=messages), sink, reads)
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
        """Wait until no thread uses the model, 5 s at most, and let it go.

        Replies that wait for their turn fail, as do those that are asked for later.
        """
        if self._server is None:
            return
        last, self._server = [self._server], None
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(CLOSING):
                for _ in range(self._options.slots):
                    await self._room.acquire()
            await to_thread.run_sync(last.clear)  # it ends threads of its own

    async def _reply(
        self, request: ChatRequest, sink: Sink[LlmEvent], reads: Reads | None
    ) -> None:
        # Room for every token and what surrounds them: it never fills.
        give, take = anyio.create_memory_object_stream[LlmEvent](request.max_tokens + 8)
        reply = Reply(self._floor, give, request, reads)
        with give, take:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._make, reply, give)
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
                    tasks.cancel_scope.cancel()
        if reply.error is not None:
            raise _failure(reply.error)

    async def _make(self, reply: Reply, give: MemoryObjectSendStream[LlmEvent]) -> None:
        """Make a reply in a slot of its own, in as many goes as others let it."""
        slot: int | None = None
        self._model()
        await self._room.acquire()
        try:
            while not reply.complete:
                await reply.turn()
                server = self._model()
                # Not before it is its turn. What it goes on from is mostly in the slot of a guess
                # or a reading that was given up, which stops at its next token only: while that
                # was busy still, the conversation was read again in another one.
                slot = self._slot_for(reply) if slot is None else slot
                if slot is None:
                    break  # it has been read meanwhile
                await reply.make(self._workers, server, slot)
            give.close()  # what the model said last was put in before this ran
        finally:
            reply.leave(partial(self._let_go, slot))

    def _model(self) -> xllamacpp.Server:
        if self._server is None:
            raise Unusable(STAGE, "it is closed")
        return self._server

    def _slot_for(self, reply: Reply) -> int | None:
        messages = reply.request.messages
        text = written(messages)
        if reply.reads == "opening":
            slot = self._slots.unread(text)
            if slot is not None:
                self._slots.take_to_open(slot, text)
            return slot
        opening = len(written((*messages[: self._opening(messages)], Message("user", ""))))
        return self._slots.take(text, opening, len(written((*messages[:-1], Message("user", "")))))

    def _let_go(self, slot: int | None) -> None:
        if slot is not None:
            self._slots.let_go(slot)
        self._room.release()


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
