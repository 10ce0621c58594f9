"""``asr: campp`` in whole calls: one in Chromium, and eight at once that share one batch.

The weights are random, so the words are nonsense; the path is what is tested.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import anyio
import pytest
from playwright.async_api import expect

from agent.caller.place import Manners, place
from agent.caller.result import CallResult
from agent.messages import Heard, ToPage
from agent.trace import read
from tests.stages.asr.campp.conftest import TINY
from tests.web.browsers import chromium, opened, spoken
from tests.web.serving import served
from tests.web.stage_figures import stage_figures

CALLERS = 8

pytestmark = pytest.mark.timeout(120)


def profiles(folder: Path) -> str:
    """Write the character ``nonsense`` and return its folder."""
    folder.mkdir()
    asr = {"engine": "campp", "model": str(TINY), "slots": CALLERS}
    text = f"extends: bare\nname: Nonsense\nvad: {{engine: energy}}\nasr: {json.dumps(asr)}\n"
    (folder / "nonsense.yaml").write_text(text, encoding="utf-8")
    return str(folder)


@pytest.mark.browser
async def test_a_call_in_the_browser_is_heard_answered_and_timed(tmp_path: Path) -> None:
    file = spoken(tmp_path / "caller.wav", (4.0, 2.5), tail=12.0)
    variables = {"FIRSTWORD_PROFILES": profiles(tmp_path / "profiles")}
    async with (
        served(tmp_path, "nonsense", **variables) as (address, _),
        chromium(microphone=file) as browser,
    ):
        page = await opened(browser, address)
        await page.get_by_role("button", name="Call", exact=True).click()
        asked = page.locator("li.caller").first
        await expect(asked).to_contain_text("(still being understood)", timeout=30_000)
        await expect(page.locator("#total-meaning")).to_contain_text(
            "until you heard the reply", timeout=40_000
        )
        await expect(asked).not_to_contain_text("(still being understood)")
        assert (await asked.inner_text()).removeprefix("You:").strip()
        await expect(page.locator("li.agent").last).to_contain_text("You said")
        figures = await stage_figures(address, "asr", "campp")
        await page.get_by_role("button", name="Hang up").click()
    record = read(tmp_path / "firstword" / "turns.sqlite")[0]
    assert record.stages["asr"] == "campp"
    assert record.measured_to == "heard"
    assert record.first_response_ms == pytest.approx(sum(ms for _, ms in record.spans), abs=1e-3)
    assert figures["slots_taken"] == 1
    assert figures["packets_total"] > 5


async def test_eight_callers_share_batches_and_a_ninth_is_told_that_all_lines_are_taken(
    tmp_path: Path,
) -> None:
    file = spoken(tmp_path / "caller.wav", (0.2, 2.5), tail=0.2)
    variables = {"FIRSTWORD_PROFILES": profiles(tmp_path / "profiles")}
    results: list[CallResult] = []
    listening: set[int] = set()
    all_are_heard = anyio.Event()

    def told(number: int, message: ToPage) -> None:
        if isinstance(message, Heard):
            listening.add(number)
        if len(listening) == CALLERS:
            all_are_heard.set()

    async def call(number: int) -> None:
        manners = Manners(deadline=30.0)
        files = [file, file]
        results.append(
            await place(address, files, on_message=partial(told, number), manners=manners)
        )

    async with served(tmp_path, "nonsense", "--max-calls", "16", **variables) as (address, _):
        async with anyio.create_task_group() as tasks:
            for number in range(CALLERS):
                tasks.start_soon(call, number)
            await all_are_heard.wait()
            full = await stage_figures(address, "asr", "campp")
            ninth = await place(address, [file], manners=Manners(deadline=5.0))
        figures = await stage_figures(address, "asr", "campp")

    for result in results:
        assert result.failures == ()
        assert all(turn.final and turn.reply and turn.partials for turn in result.turns)
    assert full["slots_taken"] == full["slots"] == CALLERS
    assert figures["largest_batch_packets"] > 1
    assert figures["packets_total"] > figures["batches_total"]
    assert figures["packets_failed_total"] == figures["packets_given_up_total"] == 0
    assert any("all 8 calls that this recogniser can hear" in why for why in ninth.failures)
    assert figures["calls_refused_total"] == 1
