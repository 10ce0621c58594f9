"""What the page measures: the reply in the caller's ear, and the silence after an interruption."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import pytest
from playwright.async_api import expect

from agent.messages import Flush, GoOnWord, HeardReply, HoldWord, Playing, Silenced
from tests.web.browsers import chromium, opened, spoken
from tests.web.scripted_agent import Scene, scripted_agent, tone

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

NEAR = 60.0
"""ms between what the page saw of the caller and what came in here: the way of the wire, and that
the two look at loudness differently."""


async def test_the_ear_tells_when_the_reply_was_heard_and_when_the_caller_had_ended(
    tmp_path: Path,
) -> None:
    told: list[tuple[float, float, HeardReply]] = []
    done = anyio.Event()

    async def script(scene: Scene) -> None:
        _, ended = await scene.utterance()
        at = await scene.play(tone(0.5))
        hint = (ended + 0.06) * 1000  # as far off as a VAD may be
        scene.tell(Playing(turn=1, reply=1, at=at * 1000, speech_end=hint))
        told.append((at * 1000, ended * 1000, await scene.heard(HeardReply)))
        done.set()

    speech = spoken(tmp_path / "caller.wav", (2.5, 1.2))
    async with scripted_agent(script) as agent, chromium(microphone=speech) as browser:
        page = await opened(browser, agent.address)
        await page.get_by_role("button", name="Call", exact=True).click()
        await expect(page.locator("#state")).to_have_text("Listening")
        with anyio.fail_after(20):
            await done.wait()
    at, ended, report = told[0]
    assert (report.turn, report.reply) == (1, 1)
    assert report.heard > at
    assert report.speech_end == pytest.approx(ended, abs=NEAR)


async def test_a_cut_reply_is_muted_at_once_and_the_silence_reported(tmp_path: Path) -> None:
    told: list[tuple[float, Silenced]] = []
    done = anyio.Event()

    async def script(scene: Scene) -> None:
        await scene.listen(0.5)
        at = await scene.play(tone(8.0))
        scene.tell(Playing(turn=0, reply=1, at=at * 1000))
        await scene.heard(HeardReply)
        began, _ = await scene.utterance()  # over the reply
        scene.tell(Flush(turn=0, reply=1, speech_start=began * 1000))
        scene.stop()
        told.append((began * 1000, await scene.heard(Silenced)))
        done.set()

    speech = spoken(tmp_path / "caller.wav", (3.0, 0.6))
    async with scripted_agent(script) as agent, chromium(microphone=speech) as browser:
        page = await opened(browser, agent.address)
        await page.get_by_role("button", name="Call", exact=True).click()
        with anyio.fail_after(20):
            await done.wait()
        assert await page.locator("#voice").evaluate("voice => voice.muted")
    began, report = told[0]
    assert report.speech_start == pytest.approx(began, abs=NEAR)
    assert report.at > began


async def test_without_a_microphone_the_reply_is_still_heard() -> None:
    told: list[HeardReply] = []
    done = anyio.Event()

    async def script(scene: Scene) -> None:
        await scene.listen(0.5)
        at = await scene.play(tone(0.5))
        scene.tell(Playing(turn=1, reply=3, at=at * 1000, speech_end=at * 1000 - 300))
        told.append(await scene.heard(HeardReply))
        done.set()

    async with scripted_agent(script) as agent, chromium() as browser:
        page = await opened(browser, agent.address)
        await page.get_by_role("button", name="Call without a microphone").click()
        with anyio.fail_after(20):
            await done.wait()
    assert told[0].reply == 3
    assert told[0].speech_end is None


async def test_a_held_reply_is_mute_until_it_goes_on_and_its_silence_is_that_of_the_hold(
    tmp_path: Path,
) -> None:
    told: list[tuple[float, Silenced]] = []
    held, lifted, done = anyio.Event(), anyio.Event(), anyio.Event()

    async def script(scene: Scene) -> None:
        await scene.listen(0.5)
        at = await scene.play(tone(8.0))
        scene.tell(Playing(turn=0, reply=1, at=at * 1000), HoldWord(turn=0, reply=1))
        held.set()
        await lifted.wait()
        scene.tell(GoOnWord(turn=0, reply=1))
        began, _ = await scene.utterance()
        scene.tell(HoldWord(turn=0, reply=1))
        holding = time.monotonic() * 1000
        await scene.listen(0.7)
        scene.tell(Flush(turn=0, reply=1, speech_start=began * 1000))
        told.append((holding, await scene.heard(Silenced)))
        done.set()

    speech = spoken(tmp_path / "caller.wav", (3.5, 0.6))
    async with scripted_agent(script) as agent, chromium(microphone=speech) as browser:
        page = await opened(browser, agent.address)
        await page.get_by_role("button", name="Call", exact=True).click()
        voice = page.locator("#voice")
        with anyio.fail_after(20):
            await held.wait()
            await expect(voice).to_have_js_property("muted", True)
            lifted.set()
            await expect(voice).to_have_js_property("muted", False)
            await done.wait()
        assert await voice.evaluate("voice => voice.muted")
    holding, report = told[0]
    assert report.at == pytest.approx(holding, abs=NEAR + 40)  # and not that of the flush
