"""``asr: funasr_server`` in Chromium, against a local server that speaks FunASR's protocol."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import expect

from agent.trace import read
from tests.servers.funasr_ws import FunasrServer, funasr_server
from tests.web.browsers import chromium, opened, spoken
from tests.web.serving import served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


def profiles(folder: Path, server: FunasrServer) -> dict[str, str]:
    """Write the character ``served`` that hears by a server; return the variables for it."""
    folder.mkdir()
    (folder / "served.yaml").write_text(
        "extends: bare\nlanguage: zh-CN\ngreeting: ''\nvad: {engine: energy}\n"
        f"asr: {{engine: funasr_server, url: '{server.url}', final_s: 1.0}}\n",
        encoding="utf-8",
    )
    return {"FIRSTWORD_PROFILES": str(folder)}


async def test_a_call_is_heard_by_the_server_even_where_the_connection_breaks(
    tmp_path: Path,
) -> None:
    mic = spoken(tmp_path / "caller.wav", (4.0, 2.5), (8.0, 2.5), tail=12.0)
    words = FunasrServer(offline=("今天天气怎么样？", "明天呢？"))
    async with funasr_server(words) as server:
        variables = profiles(tmp_path / "profiles", server)
        async with (
            served(tmp_path, "served", **variables) as (address, _),
            chromium(microphone=mic) as browser,
        ):
            page = await opened(browser, address)
            await page.get_by_role("button", name="Call", exact=True).click()
            first, second = page.locator("li.caller").first, page.locator("li.caller").nth(1)
            await expect(first).to_contain_text("(still being understood)", timeout=30_000)
            await expect(first).to_contain_text("今天")
            await expect(first).to_contain_text("今天天气怎么样？", timeout=20_000)
            await expect(first).not_to_contain_text("(still being understood)")
            server.cut_after = [20_000]  # the next utterance's first connection
            await expect(second).to_contain_text("明天呢？", timeout=30_000)
            await expect(page.get_by_role("alert")).to_be_hidden()
            await page.get_by_role("button", name="Hang up").click()
    assert len(server.greetings) >= 3  # two utterances, and one of them told again
    record = read(tmp_path / "firstword" / "turns.sqlite")[0]
    assert record.stages["asr"] == "funasr_server"


async def test_a_server_that_is_gone_is_told_and_the_call_goes_on_in_writing(
    tmp_path: Path,
) -> None:
    mic = spoken(tmp_path / "caller.wav", (5.0, 2.0), tail=20.0)
    async with funasr_server() as server:
        variables = profiles(tmp_path / "profiles", server)
        async with (
            served(tmp_path, "served", **variables) as (address, _),
            chromium(microphone=mic) as browser,
        ):
            page = await opened(browser, address)
            server.error = "out of memory"
            await page.get_by_role("button", name="Call", exact=True).click()
            await expect(page.get_by_role("alert")).to_contain_text(
                f"asr funasr_server: {server.url} says: out of memory; please say it again,"
                " or type it.",
                timeout=30_000,
            )
            await page.get_by_label("Type instead of speaking").fill("今天几号？")
            await page.keyboard.press("Enter")
            await expect(page.locator("li.agent").last).to_contain_text(
                "今天几号", timeout=20_000
            )
            await page.get_by_role("button", name="Hang up").click()
