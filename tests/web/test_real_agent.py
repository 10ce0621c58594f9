"""The page calls the agent that users start, with stages that need no model."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.streams.text import TextReceiveStream
from playwright.async_api import expect

from tests.web.browsers import chromium, opened

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]


@asynccontextmanager
async def served(state: Path) -> AsyncIterator[tuple[str, anyio.abc.Process]]:
    """Run ``firstword serve`` on a free port with a state folder of its own."""
    command = [sys.executable, "-m", "agent", "serve", "--port", "0", "--profile", "bare"]
    environment = {**os.environ, "XDG_STATE_HOME": str(state)}
    async with await anyio.open_process(command, env=environment) as server:
        assert server.stdout is not None
        said = ""
        with anyio.fail_after(15):
            async for text in TextReceiveStream(server.stdout):
                said += text
                if found := re.search(r"http://\S+", said):
                    break
            else:
                raise AssertionError(f"it did not start; it said {said!r}")
        try:
            yield found[0], server
        finally:
            if server.returncode is None:
                server.send_signal(signal.SIGTERM)


async def test_a_typed_question_is_answered_heard_and_drawn(tmp_path: Path) -> None:
    async with served(tmp_path) as (address, _), chromium() as browser:
        page = await opened(browser, address)
        await page.get_by_role("button", name="Call without a microphone").click()
        await expect(page.locator("#state")).to_have_text("Listening", timeout=15_000)
        await page.get_by_label("Type instead of speaking").fill("Half past two.")
        await page.keyboard.press("Enter")
        await expect(page.locator("li.caller").last).to_contain_text("Half past two.")
        await expect(page.locator("li.agent").last).to_contain_text("alf past two")
        await expect(page.locator("#total-meaning")).to_contain_text("until you heard the reply")
        await expect(page.locator("#legend .ear b")).to_have_text(re.compile(r"^[1-9]\d*ms$"))


async def test_a_killed_agent_is_noticed_and_the_page_says_so(tmp_path: Path) -> None:
    async with served(tmp_path) as (address, server), chromium() as browser:
        page = await opened(browser, address)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.locator("#state")).to_have_text("Listening", timeout=15_000)
        server.kill()
        await expect(page.get_by_role("alert")).to_contain_text("The connection was lost.")
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("button", name="Call", exact=True)).to_be_focused()
