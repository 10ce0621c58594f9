"""A voice made known from the page, and forgotten there: by mouse, by keyboard, with a token."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.web.browsers import DENY, chromium, opened, spoken
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
        await expect(page.get_by_role("listitem")).to_contain_text("recordings: 2")
        await page.get_by_role("button", name="Forget Anna").click()
        sure = page.get_by_role("dialog", name="Forget Anna")
        await expect(sure).to_contain_text("This cannot be undone.")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("listitem")).to_have_count(1)
        await page.get_by_role("button", name="Forget Anna").click()
        await sure.get_by_role("button", name="Forget").click()
        await expect(page.get_by_role("status")).to_have_text("Anna is forgotten.")
        await expect(page.get_by_role("listitem")).to_have_count(0)
        await expect(page.get_by_role("heading", name="Known voices")).to_be_focused()


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


async def test_the_keyboard_is_enough_and_a_stopped_recording_is_nobodys(
    tmp_path: Path, profiles: dict[str, str]
) -> None:
    async with served(tmp_path, "knows", **profiles) as (url, _), chromium() as one:
        page = await opened(one, f"{url.rstrip('/')}/voices.html")
        sent: list[str] = []
        page.on("request", lambda request: sent.append(request.method))
        await page.get_by_label("Name").focus()
        await page.keyboard.type("Anna")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Stop")).to_be_focused()
        await expect(page.locator("#left")).to_have_text("10 s left")  # it has begun
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("status")).to_have_text("Stopped. Nothing was kept.")
        await expect(page.get_by_role("button", name="Record")).to_be_focused()
        await expect(page.get_by_label("Name")).to_have_value("Anna")  # to try again
        assert "POST" not in sent


async def test_nobody_talks_for_nothing_where_no_voice_can_be_known(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    async with served(tmp_path, FIRSTWORD_STATE=state) as (url, _), chromium() as one:
        page = await opened(one, f"{url.rstrip('/')}/voices.html")
        why = page.get_by_text("Bare tells no voices apart: its profile has no section 'speakers'.")
        await expect(why).to_be_visible()
        await expect(page.get_by_role("button", name="Record")).to_be_hidden()
        await expect(page.get_by_text("Nobody is known yet.")).to_be_visible()


async def test_a_refused_microphone_is_explained(
    tmp_path: Path, profiles: dict[str, str]
) -> None:
    async with served(tmp_path, "knows", **profiles) as (url, _), chromium(DENY) as one:
        page = await opened(one, f"{url.rstrip('/')}/voices.html")
        await page.get_by_label("Name").fill("Anna")
        await page.get_by_role("button", name="Record").click()
        await expect(page.get_by_role("status")).to_contain_text("The microphone was refused.")
        await expect(page.get_by_role("button", name="Record")).to_be_focused()


async def test_it_asks_for_the_token_fits_a_phone_and_can_be_read_in_two_languages(
    tmp_path: Path, profiles: dict[str, str]
) -> None:
    profiles["FIRSTWORD_TOKEN"] = "opensesame"
    async with served(tmp_path, "knows", **profiles) as (url, _), chromium() as one:
        page = await opened(one, f"{url.rstrip('/')}/voices.html")
        await page.set_viewport_size({"width": 320, "height": 640})
        await page.get_by_role("textbox", name="Token").fill("opensesame")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Make a voice known")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == 320
        await page.get_by_role("button", name="切换到中文").click()
        await expect(page.get_by_role("heading", name="登记声音")).to_be_visible()
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        await page.get_by_role("link", name="通话").click()
        await expect(page.get_by_role("heading", name="想和谁通话？")).to_be_visible()


async def test_an_agent_that_is_gone_is_said_and_asked_again(
    tmp_path: Path, profiles: dict[str, str]
) -> None:
    async with served(tmp_path, "knows", **profiles) as (url, _), chromium() as one:
        page = await opened(one, f"{url.rstrip('/')}/voices.html")
        await page.route("**/api/**", lambda route: route.abort())
        await page.reload()
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("The agent cannot be reached. Is it still running?")
        await page.unroute("**/api/**")
        await alert.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("heading", name="Known voices")).to_be_visible()
        await expect(alert).to_be_hidden()
