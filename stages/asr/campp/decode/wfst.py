"""WFST decoding for many calls, in processes of its own, so that the loop never waits for it."""

from __future__ import annotations

import json
import logging
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import anyio
from anyio.abc import Process, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from stages.asr.campp.decode.hypothesis import Hypothesis, LogProbs, Piece
from stages.asr.campp.graph import Graph
from stages.asr.campp.options import CamppOptions
from stages.errors import Transient, Unusable, UserError

STAGE = "asr campp"

PATIENCE = 10.0
"""Seconds for one answer."""

START = 60.0
"""Seconds for a process to load its graph."""

RESTART = 0.5
"""Seconds before a process that ended is started again."""

AGREED = 3
"""So many times in a row must a word have come out alike before it is settled."""

REQUEST, ANSWER = struct.Struct("<II"), struct.Struct("<I")

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Waiting:
    done: anyio.Event = field(default_factory=anyio.Event)
    answer: dict[str, Any] | None = None


class Worker:
    """One decoding process and the calls that it serves."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._stdin, self._stdout = process.stdin, BufferedByteReceiveStream(process.stdout)
        self._sending = anyio.Lock()
        self._numbers = count()
        self._waiting: dict[int, _Waiting] = {}
        self._forgotten: list[int] = []
        self.gone = False
        self.streams = 0

    async def set_up(self, setup: dict[str, Any]) -> None:
        """Give it its graph.

        Raises:
            UserError: the graph cannot be used.
        """
        await self._stdin.send(_packed(setup, b""))
        answer = await self._receive()
        if answer["refused"]:
            raise UserError(answer["refused"])

    async def listen(self) -> None:
        """Hand answers to those who wait; when the process is gone, tell them all."""
        try:
            while True:
                answer = await self._receive()
                waiting = self._waiting.pop(answer["id"], None)
                if waiting:
                    waiting.answer = answer
                    waiting.done.set()
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            self.gone = True
            for waiting in self._waiting.values():
                waiting.done.set()

    async def ask(self, stream: int, look: bool, log_probs: LogProbs) -> dict[str, Any]:
        """Decode frames of a stream; cancelling drops the answer.

        Raises:
            Transient: no answer within ``PATIENCE`` seconds.
            Unusable: the process is gone, or cannot decode this.
        """
        number, waiting = next(self._numbers), _Waiting()
        forget, self._forgotten = self._forgotten, []
        request = {"id": number, "stream": stream, "look": look, "forget": forget}
        self._waiting[number] = waiting
        try:
            with anyio.fail_after(PATIENCE):
                await self._send(_packed(request, log_probs.tobytes()))
                if not self.gone:
                    await waiting.done.wait()
        except TimeoutError:
            raise Transient(STAGE, f"WFST decoding has not answered for {PATIENCE:g} s") from None
        finally:
            self._waiting.pop(number, None)
        if waiting.answer is None:
            raise Unusable(STAGE, "the process that decodes with WFST has ended")
        if "error" in waiting.answer:
            raise Unusable(STAGE, f"WFST decoding failed ({waiting.answer['error']})")
        return waiting.answer

    def forget(self, stream: int) -> None:
        """Let a stream go, with the next request."""
        self.streams -= 1
        self._forgotten.append(stream)

    async def _send(self, data: bytes) -> None:
        try:
            # Half a request would spoil all that follow: once begun, it is sent to its end.
            async with self._sending:
                with anyio.CancelScope(shield=True), anyio.fail_after(PATIENCE):
                    await self._stdin.send(data)
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.gone = True

    async def _receive(self) -> dict[str, Any]:
        (size,) = ANSWER.unpack(await self._stdout.receive_exactly(ANSWER.size))
        answer: dict[str, Any] = json.loads(await self._stdout.receive_exactly(size))
        return answer


class Wfst:
    """WFST decoder of one utterance.

    The best words may change until they are final, so a word is settled only when it came out
    alike ``AGREED`` times; partials then keep it, whatever the search thinks later. A final is
    what the search says at the end.
    """

    def __init__(self, worker: Worker, stream: int) -> None:
        self._worker, self._stream = worker, stream
        self._settled: tuple[Piece, ...] = ()
        self._before: list[tuple[Piece, ...]] = []
        self._last = Hypothesis()
        worker.streams += 1

    async def take(self, log_probs: LogProbs) -> Hypothesis:
        """Go on by these frames, shape (frames, vocabulary)."""
        heard = self._told(await self._worker.ask(self._stream, False, log_probs))
        pieces = self._kept(heard.pieces)
        self._before = [*self._before[1 - AGREED :], pieces]
        if len(self._before) == AGREED:
            self._settled = pieces[: max(len(self._settled), self._agreed())]
        self._last = Hypothesis(pieces, len(self._settled), heard.trailing, heard.frames)
        return self._last

    async def look(self, log_probs: LogProbs) -> Hypothesis:
        """Tell what was said if it ended with these frames; they are not kept."""
        return self._told(await self._worker.ask(self._stream, True, log_probs))

    async def nbest(self) -> list[tuple[float, Hypothesis]]:
        """Return the one way that is known; the search keeps no others."""
        return [(0.0, self._last)]

    def close(self) -> None:
        """Free the search in its process."""
        self._worker.forget(self._stream)

    def _kept(self, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        """The settled words, then what the search hears after them."""
        count = len(self._settled)
        if [one.text for one in pieces[:count]] == [one.text for one in self._settled]:
            return pieces
        end = self._settled[-1].last
        return self._settled + tuple(piece for piece in pieces if piece.first > end)

    def _agreed(self) -> int:
        """Words at the start that the last results share, the newest one's last word left out."""
        texts = [[piece.text for piece in pieces] for pieces in self._before]
        shared = 0
        for same in zip(*texts, strict=False):
            if len(set(same)) > 1:
                break
            shared += 1
        return min(shared, max(0, len(texts[-1]) - 1))

    def _told(self, answer: dict[str, Any]) -> Hypothesis:
        pieces = tuple(Piece(text, first, last) for text, first, last in answer["words"])
        frames: int = answer["frames"]
        return Hypothesis(pieces, len(pieces), frames - 1 - answer["spoken"], frames)


@asynccontextmanager
async def open_wfst(options: CamppOptions, graph: Graph) -> AsyncIterator[Callable[[], Wfst]]:
    """Start the processes; yield what makes decoders, each with the process least in use.

    Raises:
        UserError: no graph is named, it does not fit the model, or the extra is missing.
    """
    if options.graph is None:
        raise UserError("decode: wfst needs `graph:`, a folder made by `firstword asr graph`.")
    setup = {
        "folder": str(options.graph),
        "tokens": graph.tokens,
        "rules": {
            "blank": graph.geometry.blank,
            "beam": options.graph_beam,
            "active": options.graph_active,
            "scale": options.acoustic_scale,
            "skip": options.blank_skip,
        },
    }
    numbers = count()
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(anyio.create_task_group())
        places = [Place() for _ in range(options.processes)]
        for place in places:
            place.worker = await tasks.start(place.keep, setup)
        try:
            yield lambda: Wfst(least_used(places), next(numbers))
        finally:
            tasks.cancel_scope.cancel()


@dataclass(eq=False)
class Place:
    """A worker, and after its death another one: calls that begin then know nothing of it."""

    worker: Worker | None = None

    async def keep(self, setup: dict[str, Any], *, task_status: TaskStatus[Worker]) -> None:
        """Have a worker, always; tell the first one. Cancelling ends it."""
        async with _started(setup) as worker:
            task_status.started(worker)
            await worker.listen()
        while True:
            self.worker = None
            _log.warning("a process that decodes with WFST has ended; another one is started")
            await anyio.sleep(RESTART)
            with suppress(UserError):
                async with _started(setup) as worker:
                    self.worker = worker
                    _log.warning("a process that decodes with WFST is there again")
                    await worker.listen()


def least_used(places: list[Place]) -> Worker:
    """Return the worker with the fewest streams.

    Raises:
        Transient: all of them have just died.
    """
    workers = [place.worker for place in places if place.worker and not place.worker.gone]
    if not workers:
        raise Transient(STAGE, "the processes that decode with WFST are being started again")
    return min(workers, key=lambda worker: worker.streams)


@asynccontextmanager
async def _started(setup: dict[str, Any]) -> AsyncIterator[Worker]:
    module = "stages.asr.campp.decode.wfst_worker"
    process = await anyio.open_process(
        [sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None
    )
    try:
        worker = Worker(process)
        try:
            with anyio.fail_after(START):
                await worker.set_up(setup)
        except (TimeoutError, anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
            raise UserError(
                "the process that decodes with WFST did not start; it needs:"
                " pip install 'firstword[wfst]'."
            ) from None
        yield worker
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            with suppress(ProcessLookupError):
                process.kill()
            await process.aclose()


def _packed(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return REQUEST.pack(len(text), len(data)) + text + data
