"""A report with everything that may be in one, and with words as long as callers may say."""

from __future__ import annotations

from agent.report import Selection
from agent.timeline import Mark, Timeline, TurnRecord
from tests.agent.report.turns import MARKS, STAGES, guessed, stalled, turn

LONG = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverordnung" * 2
ADDRESS = "https://speech.example.org/v1/audio/transcriptions?model=large&language=auto"
CHINESE = "请把今天下午三点一刻的会议改到下周二上午十点半，并且通知所有参加的人，谢谢你。" * 2


def crowded(name: str = "a-profile-with-a-long-name", slower_ms: float = 0.0) -> Selection:
    """Return turns of three days, with errors, tools, stalls, and those that were not heard."""
    turns = [
        turn(n, heard_ms=580.0 + slower_ms + 37 * (n % 9), started_at=_day(n), profile=name)
        for n in range(1, 40)
    ]
    odd = [
        stalled(40, heard_ms=1480.0, user_text=LONG, reply_text=CHINESE, profile=name),
        turn(41, heard_ms=None, user_text=CHINESE, error=f"llm openai: {ADDRESS} said 503."),
        turn(42, fallbacks=(f"tts edge: {ADDRESS} gave no answer; the voice 'hibari' goes on.",)),
        turn(43, interrupted=True, interrupted_after_ms=2300.0, barge_in_ms=140.0),
        turn(44, interrupted=True, interrupted_after_ms=640.0),
        turn(45, stages=STAGES | {"asr": "a-recogniser-with-a-long-name", "speaker": "campplus"}),
        _with_tool(46),
        guessed(47),
    ]
    return Selection(name, tuple(turns + odd))


def _with_tool(number: int) -> TurnRecord:
    timeline = Timeline("call-a", number, "robin", _day(number))
    marks: dict[Mark, float] = {"tool_called": 0.75, "tool_done": 2.35, "playout_first": 2.6}
    for name, at in (MARKS | marks).items():
        later = 2.0 if name.startswith(("llm", "tts")) else 0.0
        timeline.mark(name, at + later)
    timeline.ear(2.7, 0.0, 0.5)
    timeline.stages, timeline.user_text = dict(STAGES), "what is " + "7" * 90
    return timeline.record()


def _day(number: int) -> str:
    return f"2026-11-{21 + number // 14}T10:{number:02d}:00.000+00:00"
