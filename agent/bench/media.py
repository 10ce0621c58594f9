"""What the wire adds, and how many calls a core carries.

A server process, pinned to one core, and scripted peers here, on the others. Both read one
monotonic clock. What a browser adds at its ends is not in these figures: some 10 ms of capture,
20-30 ms of jitter buffer, and its sound card.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream
from rich.console import Console
from rich.table import Table

from agent.bench.figures import percentiles
from agent.bench.media_server import TONE
from agent.caller.ear import Ear
from agent.caller.mic import Mic, Utterance
from agent.errors import NotPossible
from agent.line import FRAME
from agent.messages import Ping, Say
from agent.webrtc.peer import Peer
from stages.audio import samples_in, silence
from stages.events import Samples

CALLS = (1, 10, 20, 40)
PROBES = 40
CONNECTS = 10
SECONDS = 6.0
WARM_UP = 1.5
CONNECT_WITHIN = 15.0
ANSWER_WITHIN = 20.0
_LINE = 1 << 22  # bytes of a report, at most


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds: median and 95th percentile of each."""

    spoken_to_server: tuple[float, float]  # a sample is spoken; the server holds its frame
    sent_to_server: tuple[float, float]  # its packet leaves; the server holds its frame
    server_to_audible: tuple[float, float]  # the server's frame leaves; its sound is audible
    flush_to_silence: tuple[float, float]  # the server stops; the last audible sample
    click_to_connected: tuple[float, float]  # the offer begins; the data channel is open


@dataclass(frozen=True, slots=True)
class Load:
    """Calls on one core: everybody talks all the time, transport only."""

    calls: int
    cpu: float  # of one core
    late_p50_ms: float  # frames leave later than they are due
    late_p95_ms: float
    late_p99_ms: float
    received: float  # packets that came, of those that were sent to the server


async def measure(
    calls: Sequence[int] = CALLS, probes: int = PROBES, seconds: float = SECONDS
) -> tuple[Delays, list[Load]]:
    """Measure this machine; it takes about half a minute.

    Raises:
        NotPossible: the server process or a call did not come about.
    """
    delays = await _delays(probes)
    return delays, [await _load(count, seconds) for count in calls]


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmark's arguments."""
    parser.add_argument("--calls", nargs="+", type=int, default=list(CALLS), metavar="N")
    parser.add_argument("--probes", type=int, default=PROBES, help="times each delay is taken")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load")


def run(options: argparse.Namespace) -> int:
    """Measure, and print."""
    _leave_a_core()

    async def taken() -> tuple[Delays, list[Load]]:
        return await measure(options.calls, options.probes, options.seconds)

    delays, loads = anyio.run(taken, backend_options={"use_uvloop": True})
    console = Console(highlight=False, soft_wrap=options.json)
    if options.json:
        rows = [asdict(load) for load in loads]
        console.print_json(json.dumps({"delays_ms": asdict(delays), "rows": rows}))
    else:
        _print(console, delays, loads)
    return 0


def _print(console: Console, delays: Delays, loads: Sequence[Load]) -> None:
    table = Table("ms", "median", "p95", title="What the wire adds", title_justify="left")
    for name, (median, high) in asdict(delays).items():
        table.add_row(name.replace("_", " "), f"{median:.1f}", f"{high:.1f}")
    console.print(table)
    head = ("calls", "core used", "late p50", "p95", "p99 ms", "received")
    table = Table(*head, title="Calls on one core", title_justify="left")
    for load in loads:
        late = (load.late_p50_ms, load.late_p95_ms, load.late_p99_ms)
        table.add_row(
            str(load.calls),
            f"{load.cpu:.2f}",
            *(f"{ms:.1f}" for ms in late),
            f"{load.received:.1%}",
        )
    console.print(table)


def _leave_a_core() -> None:
    """Keep this process off the server's core, where there is another."""
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores - {min(cores)} or cores)


# --- the server process ---------------------------------------------------------------------


class _Remote:
    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._out = process.stdin
        self._in = BufferedByteReceiveStream(process.stdout)

    async def ask(self, **order: object) -> dict[str, Any]:
        try:
            with anyio.fail_after(ANSWER_WITHIN):
                await self._out.send(json.dumps(order).encode() + b"\n")
                line = await self._in.receive_until(b"\n", _LINE)
        except (TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
            raise NotPossible("The server process of the measurement gave up.") from error
        told: dict[str, Any] = json.loads(line)
        return told


@asynccontextmanager
async def _server() -> AsyncIterator[_Remote]:
    command = [sys.executable, "-m", "agent.bench.media_server"]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    if hasattr(os, "sched_setaffinity"):  # the child pins itself; it must see all cores
        environment["FIRSTWORD_BENCH_CORES"] = str(os.cpu_count())
    async with await anyio.open_process(
        command, stdin=subprocess.PIPE, stderr=None, env=environment
    ) as process:
        try:
            yield _Remote(process)
        finally:
            with anyio.move_on_after(10, shield=True):
                assert process.stdin is not None
                await process.stdin.aclose()
                await process.wait()
