"""Turns with known times, made by the timeline that real ones are made by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent.timeline import Lateness, Mark, Timeline, TurnRecord

STAGES = {"vad": "silero", "turn": "silence", "asr": "moonshine", "llm": "smollm", "tts": "hibari"}

MARKS: dict[Mark, float] = {
    "speech_end": 0.000,
    "endpoint": 0.300,
    "asr_final": 0.350,
    "llm_first_token": 0.450,
    "llm_first_clause": 0.500,
    "tts_first_audio": 0.560,
    "playout_first": 0.570,
}


def turn(number: int = 1, heard_ms: float | None = 600.0, **changes: Any) -> TurnRecord:
    """Return a turn whose spans are 300, 50, 100, 50, 60, 10 and what is left to the ear."""
    timeline = Timeline("call-a", number, "robin", f"2026-11-23T10:00:{number % 60:02d}.000+00:00")
    timeline.stages = dict(STAGES)
    timeline.user_text, timeline.reply_text = "what time is it", "It is noon."
    for name, at in MARKS.items():
        timeline.mark(name, at)
    if heard_ms is not None:
        timeline.ear(heard_ms / 1000, 0.0, 0.5)
    return replace(timeline.record(), **changes)


def stalled(number: int = 1, stalls: int = 2, **changes: Any) -> TurnRecord:
    """Return a turn in whose wait the event loop stalled, for 80 ms at worst."""
    late = Lateness(worst_ms=80.0, stalls=stalls, stalled_ms=60.0 * stalls)
    return turn(number, event_loop=late, **changes)


def guessed(number: int = 1) -> TurnRecord:
    """Return a turn whose reply was prepared 200 ms before the endpoint, after one vain try."""
    timeline = Timeline("call-a", number, "robin", "2026-11-23T10:00:00.100+00:00")
    timeline.stages = dict(STAGES)
    timeline.mark("speech_end", 0.0)
    timeline.guess(0.05)
    timeline.guess_dropped(7)
    timeline.guess(0.1)
    for name, at in MARKS.items():
        timeline.mark(name, at if name in ("speech_end", "endpoint") else at - 0.23)
    timeline.guess_used()
    timeline.ear(0.35, 0.0, 0.5)
    return timeline.record()
