"""What the wire adds, and how many calls a core carries.

A server process, pinned to one core, and scripted peers here, on the others. Both read one
monotonic clock. What a browser adds at its ends is not in these figures: some 10 ms of capture,
20-30 ms of jitter buffer, and its sound card.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
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
from stages.audio import silence
from stages.events import Samples

CALLS = (1, 10, 20, 40)
PROBES = 40
CONNECTS = 10
SECONDS = 6.0
CALM = 0.3  # seconds of looking for the calmest core
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
    others: float | None  # what other processes took of that core, where we can tell
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
    with _own_core() as core:
        delays = await _delays(core, probes)
        return delays, [await _load(core, count, seconds) for count in calls]


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmark's arguments."""
    parser.add_argument(
        "--calls", nargs="+", type=int, default=list(CALLS), metavar="N",
        help="calls at once, a load each (" + ", ".join(map(str, CALLS)) + ")",
    )  # fmt: skip
    parser.add_argument("--probes", type=int, default=PROBES, help="times each delay is taken")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each load")


def run(options: argparse.Namespace) -> int:
    """Measure, and print.

    Raises:
        NotPossible: a number that is none of calls, times or seconds, or see ``measure``.
    """
    if options.probes < 1 or min(options.calls) < 1 or not 0 < options.seconds < math.inf:
        raise NotPossible("--calls and --probes must be at least 1, and --seconds above 0.")

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
    head = ("calls", "core used", "by others", "late p50", "p95", "p99 ms", "received")
    table = Table(*head, title="Calls on one core", title_justify="left")
    for load in loads:
        late = (load.late_p50_ms, load.late_p95_ms, load.late_p99_ms)
        table.add_row(
            str(load.calls),
            f"{load.cpu:.2f}",
            "-" if load.others is None else f"{load.others:.2f}",
            *(f"{ms:.1f}" for ms in late),
            f"{load.received:.1%}",
        )
    console.print(table)


@contextmanager
def _own_core() -> Iterator[int | None]:
    """Keep this thread off the calmest core, where there are several, and name that core."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    cores = os.sched_getaffinity(0)
    before = {core: _busy(core) for core in cores}
    time.sleep(CALM)
    calmest = min(cores, key=lambda core: (_busy(core) or 0.0) - (before[core] or 0.0))
    os.sched_setaffinity(0, cores - {calmest} or cores)
    try:
        yield calmest
    finally:
        os.sched_setaffinity(0, cores)


def _busy(core: int | None) -> float | None:
    """Return the seconds for which a core was not idle so far, on Linux."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, *ticks = line.split()
        if name == f"cpu{core}":
            idle = int(ticks[3]) + int(ticks[4])
            return (sum(map(int, ticks[:8])) - idle) / os.sysconf("SC_CLK_TCK")
    return None


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
async def _server(core: int | None) -> AsyncIterator[_Remote]:
    command = [sys.executable, "-m", "agent.bench.media_server"]
    if core is not None:
        command.append(str(core))
    async with await anyio.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None
    ) as process:
        try:
            yield _Remote(process)
        finally:
            with anyio.move_on_after(10, shield=True):
                assert process.stdin is not None
                await process.stdin.aclose()
                await process.wait()


# --- one call, probed -----------------------------------------------------------------------


class _Caller:
    """A peer with a microphone and an ear that both know their times."""

    def __init__(self) -> None:
        self.mic = Mic()
        self.ear = Ear(lambda: None)
        self.left: dict[float, float] = {}  # due time to time of leaving
        self.peer = Peer(self.mic.pull, self.ear.hear, self._sent)

    def _sent(self, number: int, due: float, left: float) -> None:
        self.left[round(due, 4)] = left
        self.mic.sent(number, due, left)

    async def connect(self, server: _Remote) -> float:
        """Connect; return the seconds it took."""
        began = time.monotonic()
        told = await server.ask(do="call", sdp=await self.peer.offer(), load=False)
        await self.peer.accept(told["sdp"])
        await _opened(self.peer)
        return time.monotonic() - began


async def _delays(core: int | None, probes: int) -> Delays:
    caller = _Caller()
    async with _server(core) as server, anyio.create_task_group() as tasks:
        try:
            await caller.connect(server)
            tasks.start_soon(_ping, caller.peer)
            await anyio.sleep(WARM_UP)
            spoken, sent = await _speak(caller, probes)
            silences = await _talk(caller, probes)
            report = await server.ask(do="report")
        finally:
            await caller.peer.close()
            tasks.cancel_scope.cancel()
    heard = _gaps(report["played"], [first for first, _ in silences])
    quiet = _gaps(report["flushed"], [last for _, last in silences])
    connects = await _connects(core)
    return Delays(
        spoken_to_server=_two(_gaps(spoken, report["onsets"])),
        sent_to_server=_two(_gaps(sent, report["onsets"])),
        server_to_audible=_two(heard),
        flush_to_silence=_two(quiet),
        click_to_connected=_two(connects),
    )


async def _speak(caller: _Caller, probes: int) -> tuple[list[float], list[float]]:
    """Say short tones at any phase of the frames; return when each was spoken, and sent."""
    spoken, sent = [], []
    for _ in range(probes):
        lead = silence(random.randrange(FRAME))
        utterance = Utterance(Path(), np.concatenate([lead, TONE, TONE, TONE]))
        caller.mic.speak(utterance)
        with anyio.fail_after(5):
            await utterance.done.wait()
        spoken.append(utterance.when(len(lead)))
        sent.append(caller.left[round(utterance.when(FRAME), 4)])
        await anyio.sleep(0.15)
    return spoken, sent


async def _talk(caller: _Caller, probes: int) -> list[tuple[float, float]]:
    """Let the server talk for a moment, at any phase; return when it was first and last heard."""
    times = []
    for _ in range(probes):
        asked = time.monotonic()
        caller.peer.send(Say(text="talk"))
        await anyio.sleep(0.2 + random.random() * 0.02)
        caller.peer.send(Say(text="stop"))
        await anyio.sleep(0.2)
        first, last = caller.ear.first_since(asked), caller.ear.last
        times.append((first or float("nan"), last or float("nan")))
    return times


async def _connects(core: int | None) -> list[float]:
    took = []
    async with _server(core) as server:
        for _ in range(CONNECTS + 1):
            caller = _Caller()
            try:
                took.append(await caller.connect(server) * 1000)
            finally:
                await caller.peer.close()
    return took[1:]  # the first one loads what the others find loaded


# --- many calls -----------------------------------------------------------------------------


async def _load(core: int | None, count: int, seconds: float) -> Load:
    peers = [Peer(lambda: TONE, _ignored) for _ in range(count)]
    async with _server(core) as server, anyio.create_task_group() as tasks:
        try:
            for peer in peers:
                told = await server.ask(do="call", sdp=await peer.offer(), load=True)
                await peer.accept(told["sdp"])
                await _opened(peer)
                tasks.start_soon(_ping, peer)
            await anyio.sleep(WARM_UP)
            await server.ask(do="begin")
            before, busy = sum(len(peer.track.lateness) for peer in peers), _busy(core)
            await anyio.sleep(seconds)
            report = await server.ask(do="report")
            sent = sum(len(peer.track.lateness) for peer in peers) - before
            others = _others(busy, _busy(core), report)
        finally:
            for peer in peers:
                await peer.close()
            tasks.cancel_scope.cancel()
    p50, p95, p99 = percentiles([1000 * each for each in report["lateness"]], (50, 95, 99))
    received = report["packets"] / sent if sent else 0.0
    return Load(count, round(report["cpu"], 3), others, p50, p95, p99, round(received, 4))


def _others(before: float | None, after: float | None, report: dict[str, Any]) -> float | None:
    if before is None or after is None:
        return None
    share = (after - before) / float(report["seconds"]) - float(report["cpu"])
    return max(0.0, round(share, 2))


async def _ping(peer: Peer) -> None:
    while True:
        peer.send(Ping(t0=time.monotonic() * 1000))
        await anyio.sleep(1.0)


async def _opened(peer: Peer) -> None:
    try:
        with anyio.fail_after(CONNECT_WITHIN):
            await peer.opened.wait()
    except TimeoutError as error:
        raise NotPossible("A call of the measurement did not connect.") from error


def _ignored(samples: Samples, position: int, arrival: float) -> None:
    """Hear and forget: decoding is part of a call, measuring is not."""


def _gaps(begins: Sequence[float], ends: Sequence[float]) -> list[float]:
    """Return the milliseconds from each begin to the first end after it."""
    gaps = []
    for number, begin in enumerate(begins):
        until = begins[number + 1] if number + 1 < len(begins) else float("inf")
        after = [end for end in ends if begin <= end < until]
        gaps += [(after[0] - begin) * 1000] if after else []
    return gaps


def _two(values: Sequence[float]) -> tuple[float, float]:
    median, high = percentiles(values, (50, 95))
    return median, high
