"""What is remembered, in the page: looked at, taken along, forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from playwright.async_api import expect

from agent.memory.record import Memory, exchange
from agent.memory.store import MemoryBook
from agent.speakers import SpeakerBook
from tests.agent.memory.test_store import NOW, put, remembered
from tests.agent.test_speakers import one
from tests.web.browsers import chromium, opened
from tests.web.serving import served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
EVIL = "<img src=x onerror=alert(1)>"


def remember(folder: Path) -> None:
    """Know Anna and 晓明, and remember something of both."""
    speakers, book = SpeakerBook(folder), MemoryBook(folder)
    speakers.put(one("Anna"))
    speakers.put(one("晓明", at=1))
    put(book, remembered("Anna", "fox", "my pin is 42"))
    evil = (exchange("c1", 1, NOW, (EVIL, EVIL), True),)
    put(book, Memory("晓明", "owl", "m2", NOW, NOW, 90, EVIL, evil, (), 3, 2))


async def test_what_is_remembered_is_shown_taken_along_and_forgotten(tmp_path: Path) -> None:
    state = tmp_path / "state"
    await anyio.to_thread.run_sync(remember, state)
    async with served(tmp_path, FIRSTWORD_STATE=str(state)) as (url, _), chromium() as browser:
        page = await opened(browser, f"{url.rstrip('/')}/voices.html")
        await page.get_by_text("Anna, by fox").click()
        panel = page.locator("#memories li", has_text="Anna, by fox").first
        await expect(panel).to_contain_text("They said: my pin is 42")
        await expect(panel).to_contain_text("They heard: I see.")
        take = page.get_by_role("button", name="Export what is remembered of Anna")
        async with page.expect_download() as coming:
            await take.click()
        download = await coming.value
        assert download.suggested_filename == "Anna.json"
        taken = json.loads((await download.path()).read_text())
        assert taken["memories"][0]["turns"][0]["caller"] == "my pin is 42"
        await page.get_by_role("button", name="Forget what is remembered of Anna").click()
        await page.get_by_role("dialog").get_by_role("button", name="Forget").click()
        await expect(page.locator("#memories-said")).to_have_text(
            "What was remembered of Anna is gone; the voice is still known."
        )
        await expect(page.get_by_role("button", name="Forget Anna")).to_be_visible()
        await expect(page.locator("#memories > li")).to_have_count(1)
    assert [known.name for known in MemoryBook(state).all()] == ["晓明"]


async def test_foreign_words_are_text_in_either_language_and_go_with_the_voice(
    tmp_path: Path,
) -> None:
    state = tmp_path / "state"
    await anyio.to_thread.run_sync(remember, state)
    async with served(tmp_path, FIRSTWORD_STATE=str(state)) as (url, _), chromium() as browser:
        page = await opened(browser, f"{url.rstrip('/')}/voices.html", locale="zh-CN")
        await expect(page.get_by_role("heading", name="记住的内容")).to_be_visible()
        await page.get_by_text("晓明（角色：owl）").click()
        panel = page.locator("#memories > li", has_text="晓明")
        await expect(panel).to_contain_text(f"由角色自己的模型概括的较早 3 轮：{EVIL}")
        await expect(panel).to_contain_text("较早的 2 轮没有留下任何内容。")
        await expect(panel).to_contain_text(f"对方听到：{EVIL} (被打断)")
        assert await page.locator("main img").count() == 0
        for name in ("晓明", "Anna"):
            await page.get_by_role("button", name=f"忘记{name}", exact=True).click()
            await page.get_by_role("dialog").get_by_role("button", name="忘记").click()
            await expect(page.locator("#memories > li", has_text=name)).to_have_count(0)
        await expect(page.locator("#memories-none")).to_have_text("没有记住任何内容。")
        await expect(page.locator("#memories-none")).to_be_visible()
    assert MemoryBook(state).all() == []
