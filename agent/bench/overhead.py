"""What the pipeline adds: first response minus the sum of the delays of its stages.

Scripted stages with fixed delays, many calls in one process, no wire. The first response runs
from the caller's last speech sample to the first reply audio ready for the line; what the 20 ms
grid of the line adds after that (10 ms on average, whoever builds the pipeline) is in the column
``playout``. Speculation is off, so that every delay lies in the open.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from dataclasses import asdict, dataclass
from time import process_time

import anyio
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from agent.bench.figures import need_calls, percentiles
from agent.bench.memory_line import MemoryLine
from agent.call import Call
from agent.engines import Stages, open_engines
from agent.messages import ReplyEnd, ToPage
from agent.profile import Profile
from agent.settled import settle
from agent.timeline import TurnRecord
from stages.events import SAMPLE_RATE, Samples
from stages.models import ModelStore

ENDPOINT_MS, ASR_MS, LLM_MS, TTS_MS = 300, 60, 120, 40
"""The delays of the scripted stages; the endpoint's is a fixed silence."""
DELAYS_MS = ENDPOINT_MS + ASR_MS + LLM_MS + TTS_MS

_PROFILE = {
    "id": "overhead",
    "language": "en",
    "vad": {"engine": "energy"},
    "turn": {
        "engine": "silence",
        "pause_ms": ENDPOINT_MS,
        "confident_ms": ENDPOINT_MS,
        "doubtful_ms": ENDPOINT_MS,
        "cap_ms": ENDPOINT_MS,
        "speculate": False,
    },
    "asr": {"engine": "scripted", "lines": ["what time is it now"], "delay_ms": ASR_MS},
    "llm": {"engine": "echo", "reply": "It is noon.", "first_token_ms": LLM_MS, "token_ms": 0},
    "voice": {"engine": "tone", "first_ms": TTS_MS, "ms_per_character": 20},
}


@dataclass(frozen=True, slots=True)
class Row:
    """What so many calls at once did; times are overhead in milliseconds."""

    calls: int
    turns: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    playout_p50_ms: float  # the wait for the line's next frame, not in the figures before
    cpu_s_per_minute: float  # of a call
    rss_mb_per_call: float


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the benchmark's arguments."""
    parser.add_argument(
        "--calls", type=int, nargs="+", default=[1, 10, 50], help="calls at once (default 1 10 50)"
    )
    parser.add_argument("--turns", type=int, default=10, help="turns of each call (default 10)")


def run(options: argparse.Namespace) -> int:
    """Run it and print a table, or JSON.

    Raises:
        NotPossible: a number is no number of calls or turns.
    """
    need_calls(options.calls, options.turns)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, as we say
    rows = [
        anyio.run(_measure, calls, options.turns, backend_options={"use_uvloop": True})
        for calls in options.calls
    ]
    if options.json:
        json.dump({"delays_ms": DELAYS_MS, "rows": [asdict(row) for row in rows]}, sys.stdout)
        sys.stdout.write("\n")
    else:
        Console().print(_table(rows))
    return 0


async def _measure(calls: int, turns: int) -> Row:
    process = psutil.Process()
    async with open_engines(ModelStore()) as engines:
        profile = Profile.model_validate(_PROFILE)
        stages = await engines.stages(profile)
        await _together(1, 1, profile, stages)  # imports and caches, before anything counts
        settle()  # as the server does
        memory, cpu = process.memory_info().rss, process_time()
        begun = anyio.current_time()
        records = await _together(calls, turns, profile, stages)
        spent, minutes = process_time() - cpu, (anyio.current_time() - begun) / 60
        grown = max(0, _peak() - memory)
    over = [_ready(record) - DELAYS_MS for record in records]
    waits = [dict(record.spans).get("playout", 0.0) for record in records]
    p50, p95, p99 = percentiles(over, (50, 95, 99))
    return Row(
        calls=calls,
        turns=len(records),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        playout_p50_ms=percentiles(waits, (50,))[0],
        cpu_s_per_minute=round(spent / minutes / calls, 3),
        rss_mb_per_call=round(grown / calls / 1e6, 3),
    )


def _ready(record: TurnRecord) -> float:
    """Return when the first reply audio was ready, ms after the caller's last sample."""
    return record.marks["tts_first_audio"]


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def _together(calls: int, turns: int, profile: Profile, stages: Stages) -> list[TurnRecord]:
    """Run calls that begin at even distances, and return the records of all their turns."""
    records: list[TurnRecord] = []
    async with anyio.create_task_group() as tasks:
        for number in range(calls):
            tasks.start_soon(_call, number / calls, turns, profile, stages, records)
    return records


async def _call(
    delay: float, turns: int, profile: Profile, stages: Stages, records: list[TurnRecord]
) -> None:
    await anyio.sleep(delay)
    ended_in, ended_out = anyio.create_memory_object_stream[ReplyEnd](100)

    def told(message: ToPage) -> None:
        if isinstance(message, ReplyEnd):
            ended_in.send_nowait(message)

    line = MemoryLine(told)
    call = Call("bench", "", profile, stages, records.append)
    async with ended_in, ended_out, anyio.create_task_group() as tasks:
        tasks.start_soon(call.run, line)
        for _ in range(turns):
            line.say(_speech())
            with anyio.fail_after(30):
                await ended_out.receive()
        await call.hang_up("measured")


def _speech() -> Samples:
    """Return half a second of sound, a whole number of frames long: its end is sharp."""
    at = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    sound: Samples = (0.3 * np.sin(2 * np.pi * 200 * at)).astype(np.float32)
    return sound


def _table(rows: list[Row]) -> Table:
    table = Table(
        title=f"overhead: first response minus {DELAYS_MS} ms of stage delays, one core",
        caption="playout: the wait for the line's next 20 ms frame, not in p50 to p99",
    )
    for name in ("calls", "turns", "p50 ms", "p95 ms", "p99 ms", "playout p50 ms"):
        table.add_column(name, justify="right")
    table.add_column("CPU s / call-minute", justify="right")
    table.add_column("MB / call", justify="right")
    for row in rows:
        table.add_row(*(str(value) for value in asdict(row).values()))
    return table
