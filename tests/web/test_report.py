"""The live report in a real Chromium, under the server's content policy and behind its token."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect
from pydantic import SecretStr

from agent.report import Selection
from agent.report.page import fragment, style
from agent.server import Figures
from agent.timeline import TurnRecord
from tests.agent.report.turns import guessed, turn
from tests.servers.edge_http import ScriptedCalls, served
from tests.web.browsers import chromium, opened

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

TOKEN = "open-sesame"
EVIL = "<img src=x onerror=\"document.title='run'\">"


def report(conditions: dict[str, str]) -> str:
    turns = (turn(1, user_text=EVIL), turn(2, heard_ms=700.0), guessed(3))
    return fragment(Selection(conditions.get("profile", "all turns"), turns))


async def test_the_report_is_shown_to_who_has_the_token_and_has_its_colours() -> None:
    figures = Figures(lambda: b"", report, style())
    async with (
        served(ScriptedCalls(), figures=figures, token=SecretStr(TOKEN)) as server,
        chromium() as browser,
    ):
        page = await opened(browser, server.url + "/report?profile=robin")
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        status, ask = page.get_by_role("status"), page.get_by_label("This server wants its token:")
        await expect(ask).to_be_focused()
        await expect(status).to_have_count(0)  # the label says it all
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await expect(status).to_have_text("The token is not the right one.")
        await ask.fill(TOKEN)
        await page.get_by_role("button", name="Show the report").click()
        await expect(page.locator("h1")).to_have_text("Where the wait went")
        await expect(page.locator(".about")).to_contain_text("robin · 3 turns")
        await _looks_right(page)
        assert complaints == []


async def test_a_turn_that_is_still_being_recorded_is_waited_for_and_gone_to() -> None:
    kept: list[TurnRecord] = []
    figures = Figures(lambda: b"", lambda _: fragment(Selection("a call", tuple(kept))), style())
    async with served(ScriptedCalls(), figures=figures) as server, chromium() as browser:
        page = await opened(browser, server.url + "/report?call=call-a#t-call-a-2-0")
        status, row = page.get_by_role("status"), page.locator("tr.asked")
        await expect(status).to_contain_text("This turn is still being recorded")
        await expect(page.locator("h1")).to_be_hidden()  # "no turn has a time" would mislead
        kept.append(turn(1))
        await expect(page.locator("h1")).to_be_visible()
        await expect(status).to_contain_text("This turn is still being recorded")
        kept.extend(turn(n, user_text=f"question {n}") for n in range(2, 40))
        await expect(row).to_contain_text("question 2")
        await expect(row).to_be_in_viewport()
        await expect(status).to_have_count(0)  # there is nothing more to say


async def test_an_agent_that_is_gone_is_said_in_words_and_what_was_shown_stays() -> None:
    figures = Figures(lambda: b"", report, style())
    async with served(ScriptedCalls(), figures=figures) as server, chromium() as browser:
        page = await opened(browser, server.url + "/report")
        await page.route("**/api/report*", lambda route: route.abort())
        await page.reload()
        status = page.get_by_role("status")
        await expect(status).to_have_text("The agent cannot be reached; trying again.")
        await page.unroute("**/api/report*")
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # look now
        await expect(page.locator("h1")).to_have_text("Where the wait went")
        await expect(status).to_have_count(0)


async def test_a_report_of_nothing_says_so_and_shows_no_empty_tables() -> None:
    nothing = Selection("all turns", ())
    figures = Figures(lambda: b"", lambda _: fragment(nothing), style())
    async with served(ScriptedCalls(), figures=figures) as server, chromium() as browser:
        page = await opened(browser, server.url + "/report")
        titles = page.get_by_role("heading", level=2)
        await expect(titles).to_have_text(["Nothing was measured yet"])
        await expect(page.locator("table")).to_have_count(0)


async def _looks_right(page: Page) -> None:
    colour = "getComputedStyle(document.querySelector('.bar .s-endpoint')).fill"
    assert await page.evaluate(colour) != "rgb(0, 0, 0)"
    assert await page.title() == "FirstWord: latency report"  # what was said did not run
    await expect(page.locator(".turns")).to_contain_text(EVIL)
    await page.set_viewport_size({"width": 360, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
