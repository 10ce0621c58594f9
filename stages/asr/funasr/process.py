"""The agent's end of a worker: asks one thing at a time, and starts another when one dies."""

from __future__ import annotations

import json
import logging
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from stages.asr.funasr.names import PYTHON, STAGE
from stages.errors import PluginUnavailable, Transient, Unusable
from stages.events import Samples

WORKER = Path(__file__).with_name("worker.py")
LENGTHS = struct.Struct("<II")
WAITING = 64
"""Requests that may wait; a call has one at a time, so more would mean more calls than that."""
LIVES = 3
"""Workers in a row that may die without an answer, before the model is given up."""
STOP_S = 2.0

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Request:
    header: Mapping[str, Any]
    samples: Samples | None
    answered: anyio.Event = field(default_factory=anyio.Event)
    answer: dict[str, Any] = field(default_factory=dict)
    given_up: bool = False


class Worker:
    """A model in a process of its own; ``run`` is its only owner.

    Args:
        wanted: what to load, as ``worker.py`` reads it.
        load_s: longest wait for the model, in seconds.
        step_s: longest wait for an answer, in seconds.
    """

    def __init__(self, wanted: Mapping[str, Any], load_s: float, step_s: float) -> None:
        self.wanted, self.load_s, self.step_s = wanted, load_s, step_s
        self.restarts = 0
        self.lost = ""  # why there will be no more answers, once there will be none
        self._deaths = 0  # in a row, without an answer between them
        self._in, self._out = anyio.create_memory_object_stream[_Request](WAITING)

    async def ask(self, header: Mapping[str, Any], samples: Samples | None = None) -> str:
        """Return the text of the answer. A cancelled question is not put any more.

        Raises:
            Transient: this step failed, or the worker died over it.
            Unusable: there will be no more answers.
        """
        request = _Request(header, samples)
        try:
            self._in.send_nowait(request)
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            if self.lost:
                raise Unusable(STAGE, self.lost) from None
            raise Transient(STAGE, "it is so far behind that it takes no more work") from None
        try:
            await request.answered.wait()
        finally:
            request.given_up = True
        if "failed" in request.answer:
            if self.lost:
                raise Unusable(STAGE, self.lost)
            raise Transient(STAGE, str(request.answer["failed"]))
        return str(request.answer.get("text", ""))

    def tell(self, header: Mapping[str, Any]) -> None:
        """Have something done whose answer nobody waits for; forgotten if there is no room."""
        with suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._in.send_nowait(_Request(header, None))

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Keep a worker alive until cancelled; started once the model is loaded.

        Raises:
            PluginUnavailable: the model cannot be loaded the first time.
        """
        async with self._in, self._out:
            await self._live(task_status.started)
            self.lost = await self._live_on()
            _log.error("%s: %s", STAGE, self.lost)
            self._refuse_the_rest()

    async def _live_on(self) -> str:
        """Replace workers that die; return why that was given up."""
        while self._deaths < LIVES:
            try:
                await self._live(lambda: None)
            except PluginUnavailable as error:
                return str(error)
        return f"its process died {LIVES} times in a row"

    async def _live(self, loaded: Callable[[], None]) -> None:
        """Start a worker and serve until it dies."""
        async with await self._start() as process:
            try:
                pipes = _Pipes(process)
                await self._load(pipes)
                loaded()
                while True:
                    await self._serve(pipes)
                    self._deaths = 0
            except (anyio.EndOfStream, anyio.BrokenResourceError, OSError) as error:
                self._deaths += 1
                self.restarts += 1
                _log.warning("%s: its process ended (%r); another is started", STAGE, error)
            finally:
                await _end(process)

    async def _start(self) -> Process:
        python = os.environ.get(PYTHON) or sys.executable
        try:
            return await anyio.open_process(
                [python, "-I", str(WORKER)], stdin=subprocess.PIPE, stderr=_stderr()
            )
        except OSError as error:
            raise PluginUnavailable("asr", "funasr", f"{python} cannot be run: {error}") from error

    async def _load(self, pipes: _Pipes) -> None:
        try:
            with anyio.fail_after(self.load_s):
                answer = await pipes.ask(self.wanted, None)
        except TimeoutError:
            reason = f"the model {self.wanted['model']!r} was not there after {self.load_s:g} s"
            raise PluginUnavailable("asr", "funasr", reason) from None
        except (anyio.EndOfStream, anyio.BrokenResourceError, OSError):
            reason = f"its process ended while it loaded {self.wanted['model']!r}"
            raise PluginUnavailable("asr", "funasr", reason) from None
        wrong = answer.get("refused") or answer.get("failed")
        if wrong:
            raise PluginUnavailable("asr", "funasr", str(wrong).rstrip("."))

    async def _serve(self, pipes: _Pipes) -> None:
        """Answer one request; whoever asks always gets an answer."""
        request = await self._out.receive()
        if request.given_up and request.header.get("do") != "drop":
            return
        request.answer = {"failed": "its process died over this step"}
        try:
            with anyio.fail_after(self.step_s):
                request.answer = await pipes.ask(request.header, request.samples)
        finally:
            request.answered.set()

    def _refuse_the_rest(self) -> None:
        while True:
            try:
                request = self._out.receive_nowait()
            except (anyio.WouldBlock, anyio.EndOfStream, anyio.ClosedResourceError):
                return
            request.answer = {"failed": self.lost}
            request.answered.set()


class _Pipes:
    """Messages to and from a worker."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, BufferedByteReceiveStream(process.stdout)

    async def ask(self, header: Mapping[str, Any], samples: Samples | None) -> dict[str, Any]:
        words = json.dumps(dict(header)).encode()
        sound = b"" if samples is None else samples.astype("<f4").tobytes()
        await self._to.send(LENGTHS.pack(len(words), len(sound)) + words + sound)
        head = await self._receive(LENGTHS.size)
        answer = json.loads(await self._receive(LENGTHS.unpack(head)[0]))
        assert isinstance(answer, dict)
        return answer

    async def _receive(self, count: int) -> bytes:
        try:
            return await self._from.receive_exactly(count)
        except anyio.IncompleteRead:
            raise anyio.EndOfStream from None


def _stderr() -> int | None:
    """FunASR writes much to the terminal; it is shown where the agent shows everything."""
    return None if _log.isEnabledFor(logging.DEBUG) else subprocess.DEVNULL


async def _end(process: Process) -> None:
    """End a process; within 2 s, cancelled or not."""
    if process.returncode is not None:
        return
    process.kill()  # it keeps nothing that could be lost
    with anyio.move_on_after(STOP_S, shield=True):
        await process.wait()
