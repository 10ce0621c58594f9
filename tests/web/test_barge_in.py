"""Somebody talks over the embedded agent in a browser: it is silent, and knows what was heard."""

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


ASKED = ("g_brooklyn", 0.1, 1.7)
OVER_IT = (
    ("g_mountain_view", 0.0, 1.0),
    ("az_weather", 0.1, 1.3),
    ("g_audio2", 0.45, 2.0),
    ("in_sample2", 0.2, 1.8),
    ("ps_goforward", 0.45, 2.3),
)
"""Recordings, and from when to when (s) somebody speaks in them: noise is no interruption."""
WITHIN_MS = 200
"""From the caller's first sample to silence in their ear; 65 to 170 on two shared cores."""
ANSWER_S = 4.5
"""A pause in which the agent takes the word."""


def microphone(speech: Path, target: Path) -> Path:
    """Write what Chromium's microphone hears: a question, and others over the replies."""
    pieces = [np.zeros(4 * RATE)]
    for name, begin, end in (ASKED, *OVER_IT):
        sound = clip(speech, f"dev/en_assistant/{name}.flac")
        said = sound[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        pieces += [soxr.resample(said, SAMPLE_RATE, RATE), np.zeros(round(ANSWER_S * RATE))]
    pieces.append(np.zeros(8 * RATE))
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


def ends_where_the_voice_did(story: ReplyAudio, text: str, lasted_ms: float) -> bool:
    """Tell whether these words of the story are those that were heard in that time."""
    least, most = (
        heard(story.spans, round((lasted_ms / 1000 + off) * PLAYOUT_RATE), complete=False)
        for off in (-NEAR_S, NEAR_S)
    )
    return STORY.startswith(text) and len(least) <= len(text) <= len(most)


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
        replies = page.locator("li.agent")
        await expect(replies).to_have_count(len(OVER_IT) + 1, timeout=80_000)
        shown = await replies.locator("p span:first-child").all_inner_texts()
        begun, silenced = await told(page, "heard"), await told(page, "silenced")
        await page.get_by_role("button", name="Hang up").click()

    *records, _ = read(tmp_path / "firstword" / "turns.sqlite")
    assert all(record.interrupted for record in records)
    kept = [record.heard_text for record in records]
    assert kept == [text.strip() for text in shown[: len(OVER_IT)]]
    assert len(kept) == len(silenced) == len(OVER_IT)
    for record, start, end in zip(records, begun, silenced, strict=False):
        assert record.reply == start["reply"] == end["reply"]
        assert ends_where_the_voice_did(story, record.heard_text, end["at"] - start["heard"])
        assert record.barge_in_ms == pytest.approx(end["at"] - end["speech_start"], abs=0.01)
        assert end["at"] - end["speech_start"] < WITHIN_MS
