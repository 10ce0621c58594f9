"""What a scripted call brought, as frozen data."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Exactness:
    """How exact the times of a call are, in milliseconds."""

    clock_ms: float | None  # the most by which putting our times on the agent's clock can be off
    round_trip_ms: float | None  # of the fastest ping
    send_jitter_p50_ms: float  # by how much frames left later than their place on the grid
    send_jitter_p95_ms: float
    send_jitter_max_ms: float
    slipped_frames: int  # left out after stalls of this process
    missing_packets: int  # of the agent's sound, that never came


@dataclass(frozen=True, slots=True)
class TurnResult:
    """One recording, and what came of it. Times are milliseconds."""

    file: str
    turn: int | None  # the agent's number
    partials: tuple[str, ...]
    final: str
    reply: str  # its clauses, as they were shown
    heard_text: str  # what the agent takes as heard
    interrupted: bool
    heard_ms: float | None  # from the last speech sample to the first audible one of the reply
    silenced_ms: float | None  # from the interruption's first speech sample to silence
    marks: dict[str, float]  # after the last speech sample: speech_start, playing, heard, …
    timeline: dict[str, Any] | None  # the agent's record of the turn, as it came
    failure: str | None  # a sentence


@dataclass(frozen=True, slots=True)
class CallResult:
    """A whole call."""

    url: str
    call: str
    profile: str
    connect_ms: float  # from the first byte of the request to an open data channel
    greeting: str
    turns: tuple[TurnResult, ...]
    failures: tuple[str, ...]  # those of the turns among them
    exactness: Exactness
    recording: str | None  # left the caller, right the reply, on one clock
    records: tuple[dict[str, Any], ...] = ()  # the agent's of every reply, those cut off too

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return asdict(self)

    def save(self, file: Path) -> None:
        """Write it as JSON."""
        text = json.dumps(self.to_dict(), ensure_ascii=False, indent=2)
        file.write_text(text + "\n", encoding="utf-8")
