"""The page in a real Chromium, talking to an agent that follows a script."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest
from playwright.async_api import expect

from agent.messages import (
    Flush,
    Heard,
    HeardReply,
    HangUp,
    Playing,
    Reply,
    ReplyEnd,
    Say,
    Silenced,
    State,
    TimelineWord,
)
from tests.web.browsers import DENY, chromium, opened, spoken
from tests.web.scripted_agent import Scene, scripted_agent, silent, tone

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

RECORD: dict[str, Any] = {
    "marks": {"speech_end": 0.0, "endpoint": 208.0, "tts_first_audio": 342.0, "heard": 431.0},
    "spans": [["endpoint", 208.0], ["llm", 0.0], ["tts", 134.0], ["ear", 89.0]],
    "first_response_ms": 431.0,
    "residual_ms": 0.0,
    "measured_from": "speech_end",
    "measured_to": "heard",
    "hidden": {"llm": 96.0},
}


async def test_the_ear_tells_when_the_reply_was_heard_and_when_the_caller_had_ended(
    tmp_path: Path,
) -> None:
    told: list[tuple[float, float, HeardReply]] = []
    done = anyio.Event()

    async def script(scene: Scene) -> None:
        _, ended = await scene.utterance()
        at = await scene.play(tone(0.5))
        hint = (ended + 0.06) * 1000  # as far off as a VAD may be
        scene.tell(Playing(turn=1, reply=1, at=at * 1000, speech_end=hint))
        told.append((at * 1000, ended * 1000, await scene.heard(HeardReply)))
        done.set()

    speech = spoken(tmp_path / "caller.wav", (2.5, 1.2))
    async with scripted_agent(script) as agent, chromium(microphone=speech) as browser:
        page = await opened(browser, agent.address)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.locator("#state")).to_have_text("Listening")
        with anyio.fail_after(20):
            await done.wait()
    at, ended, report = told[0]
    print(at, ended, report, report.heard - at, report.speech_end and report.speech_end - ended)
    assert (report.turn, report.reply) == (1, 1)
    assert 0 < report.heard - at < 400
    assert report.speech_end is not None
    assert -150 < report.speech_end - ended < 60
    assert report.uncertainty < 20
