"""The call page where there is much to show and little room, and after something went wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from agent.messages import Heard, Reply, State, TimelineWord, Trouble
from tests.web.browsers import DENY, chromium, opened
from tests.web.scripted_agent import AVA, Scene, scripted_agent
from tests.web.test_page import RECORD, call

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
PHONE, TABLET, LAPTOP, DESK = (390, 844), (1024, 768), (1366, 657), (1280, 900)
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
LINK = "https://example.com/" + LONG


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


async def at_size(page: Page, size: tuple[int, int]) -> None:
    await page.set_viewport_size({"width": size[0], "height": size[1]})


async def forty_turns(scene: Scene) -> None:
    for turn in range(1, 41):
        scene.tell(
            Heard(turn=turn, text=f"What is {LINK}?", final=True),
            Reply(turn=turn, reply=turn, clause=0, text=f"{'Well, ' * 20}{turn}."),
            TimelineWord(turn=turn, record=RECORD),
        )
    scene.tell(State(state="speaking"))


async def wholly_seen(element: Locator) -> bool:
    """Say whether it is in the window, with nothing before its lower edge."""
    seen: bool = await element.evaluate(
        """element => {
          const { left, right, bottom } = element.getBoundingClientRect();
          const top = document.elementFromPoint((left + right) / 2, bottom - 2);
          return bottom <= innerHeight && (element.contains(top) || element.parentElement === top);
        }"""
    )
    return seen


@pytest.mark.parametrize(
    "size", [PHONE, TABLET, LAPTOP, DESK], ids=["phone", "tablet", "laptop", "desk"]
)
async def test_what_is_said_now_is_seen_without_scrolling(
    browser: Browser, size: tuple[int, int]
) -> None:
    async with scripted_agent(forty_turns) as agent:
        page = await opened(browser, agent.address)
        await at_size(page, size)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.locator("#state")).to_have_text("Speaking")
        newest = page.locator("li.agent p", has_text="Well, 40.")
        await expect(newest).to_be_in_viewport()
        assert await wholly_seen(newest)
        assert await wholly_seen(page.get_by_label("Type instead of speaking"))
        assert await page.evaluate(FITS)


async def test_a_notice_pushes_nothing_out_of_the_window(browser: Browser) -> None:
    async def script(scene: Scene) -> None:
        await forty_turns(scene)
        scene.tell(Trouble(sentence="The voice failed; another one speaks."))

    async with scripted_agent(script) as agent:
        page = await opened(browser, agent.address)
        await at_size(page, LAPTOP)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("The voice failed")
        assert await wholly_seen(page.get_by_role("alert"))
        assert await wholly_seen(page.get_by_label("Type instead of speaking"))


async def test_a_character_with_a_name_too_long_pushes_nothing_aside(browser: Browser) -> None:
    long = {**AVA, "id": "long", "name": LONG, "greeting": LINK, "avatar": ""}
    async with scripted_agent(profiles=[AVA, long]) as agent:
        page = await opened(browser, agent.address)
        for size in (PHONE, LAPTOP):
            await at_size(page, size)
            await expect(page.get_by_role("radio", name=LONG)).to_be_visible()
            assert await page.evaluate(FITS)
        await page.get_by_text(LINK).click()
        await call(page)
        for size in (PHONE, LAPTOP):
            await at_size(page, size)
            assert await page.evaluate(FITS)


async def test_after_the_call_nothing_is_offered_that_only_a_call_can_do(
    browser: Browser,
) -> None:
    two = [AVA, {**AVA, "id": "b", "name": "Ben"}]
    async with scripted_agent(forty_turns, profiles=two) as agent:
        page = await opened(browser, agent.address)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_label("Talk to")).to_be_visible()
        await expect(page.locator("li.agent")).to_have_count(40)
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("button", name="Call", exact=True)).to_be_focused()
        await expect(page.locator("#conversation")).to_be_visible()  # to read it again
        await expect(page.get_by_label("Talk to")).to_be_hidden()


async def test_a_newcomer_is_told_what_will_happen(browser: Browser) -> None:
    async with scripted_agent() as agent:
        page = await opened(browser, agent.address)
        await expect(page.locator("#lobby")).to_contain_text("Your browser asks for the microphone")


async def test_a_refused_call_leaves_no_error_behind_and_the_keyboard_in_its_place() -> None:
    async with scripted_agent() as agent, chromium(DENY) as browser:
        page = await opened(browser, agent.address)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.get_by_role("button", name="Call", exact=True).click()
        close = page.get_by_role("alert").get_by_role("button", name="Close")
        await close.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("main")).to_be_focused()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("radio", name="Ava")).to_be_focused()
        assert complaints == []
