"""The page changes the character in the middle of a call, and hears of saved profiles."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.web.browsers import chromium, opened
from tests.web.serving import served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

FOX = "extends: bare\nname: Fox\navatar: 🦊\nllm: {engine: echo, reply: 'The fox heard {text}'}\n"


async def test_the_caller_changes_the_character_in_the_middle_of_a_call(tmp_path: Path) -> None:
    file = tmp_path / "fox.yaml"
    file.write_text(FOX)
    async with (
        served(tmp_path, FIRSTWORD_PROFILES=str(tmp_path)) as (address, _),
        chromium() as browser,
    ):
        page = await opened(browser, address)
        await page.locator("label.card", has_text="Bare").click()
        await page.get_by_role("button", name="Call without a microphone").click()
        await expect(page.locator("#state")).to_have_text("Listening", timeout=15_000)
        await page.get_by_label("Talk to").select_option("fox")
        await expect(page.locator("#who-name")).to_have_text("Fox")
        await expect(page.locator("#face")).to_have_text("🦊")
        await page.get_by_label("Type instead of speaking").fill("Half past two.")
        await page.keyboard.press("Enter")
        await expect(page.locator("li.agent").last).to_contain_text("The fox heard Half past two.")

        file.write_text(FOX.replace("The fox", "The vixen").replace("Fox", "Vixen"))
        await expect(page.locator("#who-name")).to_have_text("Vixen")
        file.write_text(FOX + "colour: red\n")
        await expect(page.get_by_role("alert")).to_contain_text("there is no field 'colour'")
        await page.get_by_label("Type instead of speaking").fill("Three.")
        await page.keyboard.press("Enter")
        await expect(page.locator("li.agent").last).to_contain_text("vixen heard Three.")
