"""The page in a real Chromium, talking to an agent that follows a script."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from playwright.async_api import Browser, Page, expect

from agent.messages import (
    Bye,
    HangUp,
    Heard,
    Reply,
    ReplyEnd,
    Say,
    State,
    TimelineWord,
    Trouble,
)
from tests.web.browsers import ALLOW, DENY, chromium, opened
from tests.web.scripted_agent import AVA, WITHIN, Scene, scripted_agent

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

RECORD: dict[str, Any] = {
    "marks": {"speech_end": 0.0, "endpoint": 208.0, "tts_first_audio": 342.0, "heard": 431.0},
    "spans": [["endpoint", 208.0], ["llm", 0.0], ["tts", 134.0], ["ear", 89.0]],
    "first_response_ms": 431.0,
    "residual_ms": 0.0,
    "measured_from": "speech_end",
    "measured_to": "heard",
    "hidden": {"llm": 96.0},
}


async def call(page: Page, button: str = "Call") -> None:
    await page.get_by_role("button", name=button, exact=True).click()
    await expect(page.locator("#state")).to_have_text("Listening")


async def say(page: Page) -> None:
    await page.get_by_label("Type instead of speaking").fill("on")
    await page.keyboard.press("Enter")


async def test_a_conversation_is_shown_as_it_is_understood(browser: Browser) -> None:
    async def script(scene: Scene) -> None:
        scene.tell(Heard(turn=1, text="Book me a ro", stable=7))
        await scene.heard(Say)
        scene.tell(
            Heard(turn=1, text="Book me a room.", final=True),
            State(state="thinking"),
            Reply(turn=1, reply=1, clause=0, text="Sure,"),
            Reply(turn=1, reply=1, clause=1, text="for when exactly?"),
        )
        await scene.heard(Say)
        scene.tell(ReplyEnd(turn=1, reply=1, heard="Sure, for", interrupted=True))

    async with scripted_agent(script) as agent:
        page = await opened(browser, agent.address)
        await call(page)
        mine, its = page.locator("li.caller p"), page.locator("li.agent p")
        await expect(mine).to_have_text("Book me a ro (still being understood)")
        await expect(mine.locator(".unsure")).to_have_text(" a ro")
        await say(page)
        await expect(mine).to_have_text("Book me a room.")
        await expect(mine.locator(".unsure")).to_have_count(0)
        await expect(its).to_have_text("Sure, for when exactly?")
        await expect(page.locator("#state")).to_have_text("Thinking")
        await say(page)
        await expect(its).to_have_text("Sure, for interrupted")


async def test_the_conversation_stays_at_its_end_until_the_caller_scrolls_back(
    browser: Browser,
) -> None:
    async def script(scene: Scene) -> None:
        for turn in range(1, 7):
            await scene.heard(Say)
            scene.tell(  # all within one frame of the screen
                Heard(turn=turn, text=f"Question {turn}?", final=True),
                Reply(turn=turn, reply=turn, clause=0, text=f"{'Well, ' * 40}{turn}."),
                TimelineWord(turn=turn, record=RECORD),
            )

    async with scripted_agent(script) as agent:
        page = await opened(browser, agent.address)
        await call(page)
        talk = page.locator("#conversation")
        for turn in range(1, 6):
            await say(page)
            await expect(talk.locator("li.agent")).to_have_count(turn)
            await expect(page.get_by_role("img", name=f"Turn {turn}: 431 ms.")).to_be_visible()
        await page.wait_for_function(
            "list => list.scrollHeight - list.scrollTop - list.clientHeight < 2",
            arg=await talk.element_handle(),
        )
        await talk.evaluate("list => list.scrollTo(0, 0)")
        await talk.evaluate("() => new Promise(requestAnimationFrame)")
        await say(page)
        await expect(talk.locator("li.agent")).to_have_count(6)
        assert await talk.evaluate("list => list.scrollTop") == 0


async def test_the_reason_why_nobody_answers_is_whole_on_a_narrow_phone(browser: Browser) -> None:
    why = "the package is not installed, and FIRSTWORD_FUNASR_PYTHON names no other Python"
    away = {**AVA, "id": "away", "usable": False, "why": why}
    async with scripted_agent(profiles=[AVA, away]) as agent:
        page = await opened(browser, agent.address)
        await page.set_viewport_size({"width": 360, "height": 740})
        reason = page.get_by_text(why)
        assert await reason.evaluate("text => text.scrollWidth <= text.clientWidth")


async def test_what_others_say_is_text_and_never_markup(browser: Browser) -> None:
    evil = "<img src=x onerror=alert(1)>"

    async def script(scene: Scene) -> None:
        scene.tell(
            Heard(turn=1, text=evil, final=True),
            TimelineWord(turn=1, record={**RECORD, "spans": [[evil, 431.0]], "error": evil}),
            Trouble(sentence=evil),
        )

    ava = {**AVA, "name": evil, "greeting": evil, "avatar": "javascript:alert(1)"}
    async with scripted_agent(script, profiles=[ava]) as agent:
        page = await opened(browser, agent.address)
        await call(page)
        await expect(page.get_by_role("alert")).to_contain_text(evil)
        await expect(page.locator("li.caller p")).to_have_text(evil)
        await expect(page.locator("#legend")).to_contain_text(evil)
        assert await page.locator("main img").count() == 0


async def test_the_bar_of_a_turn_sums_to_the_wait(browser: Browser) -> None:
    async def script(scene: Scene) -> None:
        scene.tell(TimelineWord(turn=1, record={**RECORD, "marks": {}, "first_response_ms": 342.0}))
        scene.tell(TimelineWord(turn=2, record=RECORD))

    async with scripted_agent(script) as agent:
        page = await opened(browser, agent.address)
        await call(page)
        await expect(page.locator("#total")).to_have_text("431")
        bar = page.get_by_role("img", name="Turn 2: 431 ms.")
        whole = await bar.bounding_box()
        voice = await bar.locator(".tts").bounding_box()
        assert whole is not None
        assert voice is not None
        assert voice["width"] / whole["width"] == pytest.approx(134 / 431, abs=0.02)
        await expect(page.locator("#legend .llm")).to_contain_text("+96 hidden")
        await page.get_by_text("Show as a table").click()
        await expect(page.get_by_role("row", name="Sum")).to_contain_text("431.0")
        await page.get_by_role("button", name="Turn 1").click()
        await expect(page.locator("#total-meaning")).to_contain_text("your ear was not measured")


@pytest.mark.parametrize(
    ("locale", "tag", "told"),
    [
        ("en-GB", "began too early", "The agent cut you off: it took a pause of 640 ms"),
        ("zh-CN", "开口太早", "回复抢了你的话：它把 640 毫秒的停顿当成你说完了"),
    ],
)
async def test_a_reply_that_cut_the_caller_off_is_not_laid_at_their_door(
    browser: Browser, locale: str, tag: str, told: str
) -> None:
    cut = {"reply": 1, "interrupted": True, "interrupted_after_ms": 640.0, "cut_in": True}
    record = {**RECORD, **cut, "barge_in_ms": 150.0}

    async def script(scene: Scene) -> None:
        scene.tell(
            Heard(turn=1, text="Book me a room", final=True),
            Reply(turn=1, reply=1, clause=0, text="Sure, for when?"),
            ReplyEnd(turn=1, reply=1, heard="Sure,", interrupted=True),
            TimelineWord(turn=1, record=record),
        )

    async with scripted_agent(script) as agent:
        page = await opened(browser, agent.address, locale)
        await page.locator("#call").click()
        await expect(page.locator("li.agent p")).to_have_text(f"Sure, {tag}")
        await expect(page.locator("#wait-notes")).to_contain_text(told)
        for blame in ("You interrupted", "你打断了", "150"):
            await expect(page.locator("#wait-notes")).not_to_contain_text(blame)


async def test_one_may_type_where_there_is_no_microphone(browser: Browser) -> None:
    said: list[str] = []
    hung_up = anyio.Event()

    async def script(scene: Scene) -> None:
        said.append((await scene.heard(Say)).text)
        scene.tell(Reply(turn=1, reply=1, clause=0, text="Read you."))
        await scene.heard(HangUp)
        hung_up.set()

    async with scripted_agent(script) as agent:
        page = await opened(browser, agent.address)
        await call(page, "Call without a microphone")
        await page.keyboard.type("  Half past two?  ")  # the field has the focus
        await page.keyboard.press("Enter")
        await expect(page.locator("li.agent p")).to_have_text("Read you.")
        await expect(page.get_by_role("button", name="No microphone")).to_be_disabled()
        await page.get_by_role("button", name="Hang up").click()
        await expect(page.get_by_role("button", name="Call", exact=True)).to_be_focused()
        await expect(page.locator("li.agent p")).to_be_visible()  # one may read it again
        with anyio.fail_after(WITHIN):
            await hung_up.wait()
    assert said == ["Half past two?"]


async def test_a_broken_line_comes_back_with_the_session_and_the_same_microphone(
    browser: Browser,
) -> None:
    async def script(scene: Scene) -> None:
        if len(agent.scenes) == 1:
            await scene.heard(Say)
            scene.gone = True
        else:
            scene.tell(Reply(turn=1, reply=1, clause=0, text="Still here."))

    async with scripted_agent(script) as agent:
        page = await opened(browser, agent.address)
        await call(page)
        await page.get_by_label("Type instead of speaking").fill("break")
        await page.keyboard.press("Enter")
        await expect(page.locator("li.agent p")).to_have_text("Still here.")
        await expect(page.locator("#state")).to_have_text("Listening")
        await expect(page.get_by_role("alert")).to_be_hidden()
        assert [offer.get("session") for offer in agent.offers] == [None, "the-session"]


async def test_a_line_that_stays_broken_is_tried_again_and_the_page_says_so(
    browser: Browser,
) -> None:
    async def script(scene: Scene) -> None:
        agent.refusal = (503, "Starting up.", 1)
        scene.gone = True

    async with scripted_agent(script) as agent:
        page = await opened(browser, agent.address)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.locator("#state")).to_have_text("Connection lost, trying again…")
        await expect(page.get_by_role("alert")).to_contain_text("The connection was lost.")
        agent.refusal = (404, "That call is over.", 0)
        await expect(page.get_by_role("alert")).to_contain_text("could not be brought back")
        await expect(page.get_by_role("button", name="Call", exact=True)).to_be_visible()


async def test_the_agents_goodbye_ends_the_call(browser: Browser) -> None:
    async def script(scene: Scene) -> None:
        scene.tell(Bye(reason="The agent is shutting down."))

    async with scripted_agent(script) as agent:
        page = await opened(browser, agent.address)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text(
            "The call is over: The agent is shutting down."
        )
        assert len(agent.offers) == 1


async def test_a_busy_agent_says_when_to_try_again(browser: Browser) -> None:
    async with scripted_agent(refusal=(503, "All 2 lines are taken.", 7)) as agent:
        page = await opened(browser, agent.address)
        await page.get_by_role("button", name="Call", exact=True).click()
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("try again in 7 s. It said: All 2 lines are taken.")
        agent.refusal = None
        await alert.get_by_role("button", name="Try again").click()
        await expect(page.locator("#state")).to_have_text("Listening")


async def test_a_token_is_asked_for_until_it_is_right_and_stays_out_of_the_address(
    browser: Browser,
) -> None:
    async with scripted_agent(token="opensesame") as agent:
        page = await opened(browser, agent.address)
        dialog = page.get_by_role("dialog")
        await expect(dialog).to_contain_text("FIRSTWORD_TOKEN")
        await dialog.get_by_label("Token").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(dialog).to_contain_text("was not accepted")
        await dialog.get_by_label("Token").fill("opensesame")
        await page.keyboard.press("Enter")
        await call(page)
        assert "opensesame" not in page.url


async def test_a_closed_tab_is_noticed_at_once(browser: Browser) -> None:
    async with scripted_agent() as agent:
        page = await opened(browser, agent.address)
        await call(page)
        await page.close()
        await agent.scenes[0].over()
        assert "closed" in agent.scenes[0].line.ended


async def test_the_page_speaks_the_browsers_language_and_can_be_switched(
    browser: Browser,
) -> None:
    async with scripted_agent() as agent:
        page = await opened(browser, agent.address, locale="zh-CN")
        await expect(page.get_by_role("heading", level=2)).to_have_text("想和谁通话？")
        await expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        await page.get_by_role("button", name="Switch to English").click()
        await expect(page.get_by_role("heading", level=2)).to_have_text(
            "Who would you like to call?"
        )
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("lang", "en")


async def test_a_character_that_cannot_be_called_says_why(browser: Browser) -> None:
    other = {**AVA, "id": "other", "name": "Other", "usable": False, "why": "Its key is not set."}
    async with scripted_agent(profiles=[{**AVA, "usable": True, "why": ""}, other]) as agent:
        page = await opened(browser, agent.address)
        await expect(page.get_by_role("radio", name="Other")).to_be_disabled()
        await expect(page.get_by_text("Its key is not set.")).to_be_visible()
        await expect(page.get_by_role("radio", name="Ava")).to_be_checked()


async def test_the_keyboard_is_enough(browser: Browser) -> None:
    async with scripted_agent(profiles=[AVA, {**AVA, "id": "b", "name": "Ben"}]) as agent:
        page = await opened(browser, agent.address)
        await expect(page.get_by_role("button", name="Call", exact=True)).to_be_enabled()
        await page.get_by_role("radio").first.focus()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page.locator("#state")).to_have_text("Listening")
        await expect(page.get_by_role("button", name="Hang up")).to_be_focused()
        await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Space")
        await expect(page.get_by_role("button", name="Unmute")).to_be_focused()
        assert agent.offers[0]["profile"] == "b"


async def test_it_fits_a_phone_and_breaks_no_rule_of_its_own(browser: Browser) -> None:
    async def script(scene: Scene) -> None:
        scene.tell(TimelineWord(turn=1, record=RECORD), TimelineWord(turn=2, record=RECORD))

    async with scripted_agent(script) as agent:
        page = await opened(browser, agent.address)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        foreign: list[str] = []
        page.on("request", lambda request: foreign.append(request.url))
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.reload()
        await call(page)
        await expect(page.locator("#total")).to_have_text("431")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        assert complaints == []
        assert [url for url in foreign if not url.startswith(agent.address)] == []


async def test_a_refused_microphone_is_explained_and_one_may_type() -> None:
    many = [{**AVA, "id": f"ava-{number}", "default": not number} for number in range(8)]
    async with scripted_agent(profiles=many) as agent, chromium(DENY) as browser:
        page = await opened(browser, agent.address)
        await page.set_viewport_size({"width": 360, "height": 740})
        await page.get_by_role("button", name="Call", exact=True).click()
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("The microphone was refused.")
        await expect(alert).to_be_in_viewport()  # the button lies far below the top of the page
        await alert.get_by_role("button", name="Call without a microphone").click()
        await expect(page.locator("#state")).to_have_text("Listening")


async def test_a_machine_without_a_microphone_is_told_so() -> None:
    async with scripted_agent() as agent, chromium(ALLOW, device=False) as browser:
        page = await opened(browser, agent.address)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("No microphone was found.")


async def test_without_https_the_page_says_why_there_is_no_microphone() -> None:
    elsewhere = "--host-resolver-rules=MAP firstword.test 127.0.0.1"
    async with scripted_agent() as agent, chromium(ALLOW, elsewhere) as browser:
        page = await opened(browser, agent.address.replace("127.0.0.1", "firstword.test"))
        await page.get_by_role("button", name="Call", exact=True).click()
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("not opened over HTTPS")
        await alert.get_by_role("button", name="Call without a microphone").click()
        await expect(page.locator("#state")).to_have_text("Listening")
