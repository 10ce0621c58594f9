"""The main job: a person speaks to the embedded agent in a browser, and hears it answer."""

from __future__ import annotations

import json
import re
import wave
from pathlib import Path

import numpy as np
import pytest
import soxr
from playwright.async_api import expect

from agent.trace import read
from stages.events import SAMPLE_RATE
from stages.models import ModelStore
from tests.stages.clips import clip, word_errors
from tests.web.browsers import RATE, chromium, opened
from tests.web.serving import served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.model,
    pytest.mark.speech,
    pytest.mark.timeout(120),
]

QUESTION = "dev/en_assistant/g_brooklyn.flac"
WORDS = "how old is the brooklyn bridge"
GREETED_S = 6.0
"""Silence before the question: the greeting is over by then, on a busy machine too."""


def microphone(speech: Path, target: Path, said: str = QUESTION) -> Path:
    """Write what Chromium's microphone hears: silence, the question, silence."""
    question = soxr.resample(clip(speech, said), SAMPLE_RATE, RATE)
    samples = np.concatenate([np.zeros(int(GREETED_S * RATE)), question, np.zeros(12 * RATE)])
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return target


async def test_a_spoken_question_is_understood_answered_and_heard(
    speech: Path, store: ModelStore, tmp_path: Path
) -> None:
    file = microphone(speech, tmp_path / "question.wav")
    async with served(tmp_path, "default") as (address, _), chromium(microphone=file) as browser:
        page = await opened(browser, address)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.locator("li.agent").first).to_contain_text("Robin", timeout=30_000)

        asked = page.locator("li.caller").last
        await expect(page.locator("#total-meaning")).to_contain_text(
            "until you heard the reply", timeout=40_000
        )
        said = (await asked.inner_text()).removeprefix("You:")
        assert word_errors(WORDS, said) <= 1  # it is heard through a codec
        await expect(page.locator("li.agent")).to_have_count(2)
        await expect(page.locator("#legend .ear b")).to_have_text(re.compile(r"^[1-9]\d*ms$"))
        await expect(page.locator("#state")).to_have_text("Listening", timeout=30_000)
        await page.get_by_role("button", name="Hang up").click()

    [record] = read(tmp_path / "firstword" / "turns.sqlite")
    assert record.measured_to == "heard"
    assert record.speech_end_source == "caller"
    assert record.first_response_ms == pytest.approx(sum(ms for _, ms in record.spans), abs=1e-3)
    assert json.dumps(record.to_dict())
