"""A person talks over the embedded agent in a browser: it is silent, and knows what was heard."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from playwright.async_api import Page, expect

from agent.engines import open_engines
from agent.history import heard
from agent.line import PLAYOUT_RATE
from agent.playout import ReplyAudio
from agent.profile import load
from agent.speak import Script, speak
from agent.trace import read
from stages.events import SAMPLE_RATE
from stages.models import ModelStore
from tests.agent.speaking import Notes
from tests.stages.clips import clip
from tests.web.browsers import RATE, chromium, opened
from tests.web.serving import served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.model,
    pytest.mark.speech,
    pytest.mark.timeout(120),
]

STORY = (
    "Once upon a time there was a lighthouse on a small island, far away from the coast of the"
    " mainland. Every evening an old keeper climbed up the stairs and lit the great lamp, so that"
    " the ships could find their way home through the storms."
)
TALKER = f"""extends: default
name: Talker
greeting: ""
llm: {{engine: echo, reply: "{STORY}"}}
"""
LISTEN = """
window.said = [];
const send = RTCDataChannel.prototype.send;
RTCDataChannel.prototype.send = function (data) {
  window.said.push(JSON.parse(data));
  return send.call(this, data);
};
"""
NEAR_S = 0.35
"""A word, and what the two ends of a reply are measured by."""


def microphone(speech: Path, target: Path) -> Path:
    """Write what Chromium's microphone hears: a question, and another one over the reply."""
    pieces = [np.zeros(4 * RATE)]
    for name, pause in (("g_brooklyn", 4.5), ("g_mountain_view", 12)):
        sound = clip(speech, f"dev/en_assistant/{name}.flac")
        pieces += [soxr.resample(sound, SAMPLE_RATE, RATE), np.zeros(round(pause * RATE))]
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.concatenate(pieces) * 32767).astype("<i2").tobytes())
    return target


async def told(page: Page, kind: str) -> list[dict[str, Any]]:
    """Return what the page has told the agent."""
    said = json.loads(await page.evaluate("JSON.stringify(window.said)"))
    return [word for word in said if word["type"] == kind]


async def spoken(store: ModelStore) -> ReplyAudio:
    """Return the story as the profile's voice says it."""
    audio = ReplyAudio(1)
    async with open_engines(store) as engines:
        stages = await engines.stages(load("default"))
        await speak(Script(stages.llm, stages.mouths, "en", text=STORY), audio, Notes())
    return audio


async def test_real_speech_silences_the_page_and_the_history_ends_where_the_voice_did(
    speech: Path, store: ModelStore, tmp_path: Path
) -> None:
    file, profiles = microphone(speech, tmp_path / "caller.wav"), tmp_path / "profiles"
    profiles.mkdir()
    (profiles / "talker.yaml").write_text(TALKER, encoding="utf-8")
    story = await spoken(store)
    async with (
        served(tmp_path, "talker", FIRSTWORD_PROFILES=str(profiles)) as (address, _),
        chromium(microphone=file) as browser,
    ):
        page = await opened(browser, address)
        await page.add_init_script(LISTEN)
        await page.reload()
        await page.get_by_role("button", name="Call", exact=True).click()
        cut = page.locator("li.agent").first
        await expect(cut).to_contain_text("interrupted", timeout=60_000)
        await expect(page.locator("li.agent")).to_have_count(2, timeout=20_000)
        shown = (await cut.locator("p span").first.inner_text()).strip()
        silenced = (await told(page, "silenced"))[0]
        begun = (await told(page, "heard"))[0]
        await page.get_by_role("button", name="Hang up").click()

    lasted = (silenced["at"] - begun["heard"]) / 1000
    least, most = (
        heard(story.spans, round((lasted + off) * PLAYOUT_RATE), complete=False)
        for off in (-NEAR_S, NEAR_S)
    )
    assert STORY.startswith(shown)
    assert len(least) <= len(shown) <= len(most)
    record = read(tmp_path / "firstword" / "turns.sqlite")[0]
    assert record.interrupted
    assert record.heard_text == shown
    assert record.barge_in_ms == pytest.approx(silenced["at"] - silenced["speech_start"], abs=0.01)
    assert silenced["at"] < silenced["speech_start"] + 400  # docs/barge-in.md: on a free machine
