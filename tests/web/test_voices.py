"""A voice made known from the page, and forgotten there."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.web.browsers import chromium, opened, spoken
from tests.web.serving import served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
PROFILE = """\
extends: bare
speakers: {engine: spectrum, threshold: 0.5}
"""


@pytest.fixture
def profiles(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "knows.yaml").write_text(PROFILE)
    state = str(tmp_path / "state")
    return {"FIRSTWORD_PROFILES": str(tmp_path / "profiles"), "FIRSTWORD_STATE": state}


async def test_two_recordings_make_a_voice_known_until_it_is_forgotten(
    tmp_path: Path, profiles: dict[str, str]
) -> None:
    mic = spoken(tmp_path / "mic.wav", (0.5, 25.0))
    async with served(tmp_path, "knows", **profiles) as (url, _), chromium(microphone=mic) as one:
        page = await opened(one, f"{url.rstrip('/')}/voices.html")
        await page.get_by_label("Name").fill("Anna")
        await page.get_by_role("button", name="Record").click()
        await expect(page.get_by_role("status")).to_contain_text("Recording")
        await expect(page.get_by_role("status")).to_have_text(
            "Anna is known now.", timeout=40_000
        )
        await page.get_by_role("button", name="Forget Anna").click()
        await expect(page.get_by_role("status")).to_have_text("Anna is forgotten.")
        await expect(page.get_by_role("listitem")).to_have_count(0)


async def test_silence_makes_nobody_known_and_the_page_says_why(
    tmp_path: Path, profiles: dict[str, str]
) -> None:
    mic = spoken(tmp_path / "mic.wav", (25.0, 0.1))
    async with served(tmp_path, "knows", **profiles) as (url, _), chromium(microphone=mic) as one:
        page = await opened(one, f"{url.rstrip('/')}/voices.html", locale="zh-CN")
        await page.get_by_label("名字").fill("晓明")
        await page.get_by_role("button", name="录音").click()
        await expect(page.get_by_role("status")).to_contain_text(
            "clip 1 has 0.0 s of speech", timeout=40_000
        )
