"""The page calls the agent that users start, with stages that need no model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.web.browsers import chromium, opened
from tests.web.serving import served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]


async def asked(browser: Browser, address: str) -> Page:
    """Call without a microphone, and type a question."""
    page = await opened(browser, address)
    await page.get_by_role("button", name="Call without a microphone").click()
    await expect(page.locator("#state")).to_have_text("Listening", timeout=15_000)
    await page.get_by_label("Type instead of speaking").fill("Half past two.")
    await page.keyboard.press("Enter")
    return page


async def test_a_typed_question_is_answered_heard_and_drawn(tmp_path: Path) -> None:
    async with served(tmp_path) as (address, _), chromium() as browser:
        page = await asked(browser, address)
        await expect(page.locator("li.caller").last).to_contain_text("Half past two.")
        await expect(page.locator("li.agent").last).to_contain_text("alf past two")
        await expect(page.locator("#total-meaning")).to_contain_text("until you heard the reply")
        await expect(page.locator("#legend .ear b")).to_have_text(re.compile(r"^[1-9]\d*ms$"))


async def test_the_link_of_a_turn_leads_to_it_though_it_is_recorded_later(tmp_path: Path) -> None:
    async with served(tmp_path) as (address, _), chromium() as browser:
        page = await asked(browser, address)
        async with page.context.expect_page() as opening:
            await page.get_by_role("link", name="This turn in the latency report").click()
        report = await opening.value
        row = report.locator("tr.asked")
        await expect(row).to_contain_text("Half past two.")
        await expect(row).to_be_in_viewport()
        await expect(report.get_by_role("status")).to_have_count(0)  # it waits no more
        await expect(report.locator("body")).to_contain_text("The event loop")


async def test_a_killed_agent_is_noticed_and_the_page_says_so(tmp_path: Path) -> None:
    async with served(tmp_path) as (address, server), chromium() as browser:
        page = await opened(browser, address)
        await page.get_by_role("button", name="Call", exact=True).click()
        # Chromium's own microphone beeps every second: the agent may never be done with answering.
        talking = re.compile("Listening|Speaking")
        await expect(page.locator("#state")).to_have_text(talking, timeout=15_000)
        server.kill()
        await expect(page.get_by_role("alert")).to_contain_text("The connection was lost.")
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("button", name="Call", exact=True)).to_be_focused()
