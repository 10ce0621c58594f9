"""``asr: funasr`` in whole calls: one in Chromium, and four at once that stay real time.

The models are tiny and their weights random, so the words are nonsense; but the one that hears
while one speaks and the one that hears the whole write with different characters.
"""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Locator, expect

from agent.caller.place import Manners, place
from agent.caller.result import CallResult
from agent.messages import Heard, ToPage
from agent.trace import read
from stages.asr.funasr.names import PYTHON
from tests.stages.asr.funasr.conftest import alphabets, tiny
from tests.web.browsers import chromium, opened
from tests.web.serving import served
from tests.web.stage_figures import stage_figures
from tests.web.test_real_speech import microphone

__all__ = ["tiny"]

pytestmark = [pytest.mark.speech, pytest.mark.timeout(300)]  # importing FunASR takes 10 to 40 s
SAID = "dev/zh/aishell_BAC009S0764W0121.flac"
CALLERS = 4


def profiles(folder: Path, tiny: Path, more: str = "") -> dict[str, str]:
    """Write the character ``two`` that hears in two passes; return the variables for it."""
    folder.mkdir()
    (folder / "two.yaml").write_text(
        f"extends: bare\nlanguage: zh-CN\ngreeting: ''\nasr: {{engine: funasr, {more}"
        f" streaming: {tiny}/streaming, offline: {tiny}/offline,"
        f" punctuation: {tiny}/punctuation}}\n",
        encoding="utf-8",
    )
    variables = {"FIRSTWORD_PROFILES": str(folder)}
    return variables if PYTHON in os.environ else variables | {PYTHON: sys.executable}


async def words_of(item: Locator) -> set[str]:
    """Return the Chinese characters that an entry of the page shows."""
    return set(re.findall(r"[\u4e00-\u9fff]", await item.inner_text()))


@pytest.mark.browser
async def test_partials_of_one_model_become_the_final_of_the_other_in_a_browser_call(
    tmp_path: Path, tiny: Path, speech: Path
) -> None:
    streaming, offline = alphabets()
    file = microphone(speech, tmp_path / "caller.wav", SAID)
    variables = profiles(tmp_path / "profiles", tiny)
    async with (
        served(tmp_path, "two", **variables) as (address, _),
        chromium(microphone=file) as browser,
    ):
        page = await opened(browser, address)
        await page.get_by_role("button", name="Call", exact=True).click()
        asked = page.locator("li.caller").first
        await expect(asked).to_contain_text("(still being understood)", timeout=30_000)
        partial_words = await words_of(asked)
        await expect(page.locator("#total-meaning")).to_contain_text(
            "until you heard the reply", timeout=40_000
        )
        await expect(asked).not_to_contain_text("(still being understood)")
        final_words = await words_of(asked)
        await page.get_by_role("button", name="Hang up").click()
    assert partial_words
    assert partial_words <= streaming
    assert final_words
    assert final_words <= offline
    record = read(tmp_path / "firstword" / "turns.sqlite")[0]
    assert record.stages["asr"] == "funasr"
    assert record.measured_to == "heard"


async def test_four_callers_stay_real_time_and_a_fifth_is_refused_with_a_sentence(
    tmp_path: Path, tiny: Path, speech: Path
) -> None:
    variables = profiles(tmp_path / "profiles", tiny, f"calls: {CALLERS}, ")
    results: list[CallResult] = []
    listening: set[int] = set()
    all_are_heard = anyio.Event()

    def told(number: int, message: ToPage) -> None:
        if isinstance(message, Heard):
            listening.add(number)
        if len(listening) == CALLERS:
            all_are_heard.set()

    async def call(number: int) -> None:
        results.append(
            await place(
                address,
                [speech / SAID, speech / SAID],
                on_message=partial(told, number),
                manners=Manners(deadline=60.0),
            )
        )

    async with served(tmp_path, "two", "--max-calls", "16", **variables) as (address, _):
        async with anyio.create_task_group() as tasks:
            for number in range(CALLERS):
                tasks.start_soon(call, number)
            with anyio.fail_after(120):
                await all_are_heard.wait()
            full = await stage_figures(address, "asr", "funasr")
            fifth = await place(address, [speech / SAID], manners=Manners(deadline=5.0))
        figures = await stage_figures(address, "asr", "funasr")

    for result in results:
        assert result.failures == ()
        assert all(turn.final and turn.reply and turn.partials for turn in result.turns)
    assert full["calls"] == full["calls_at_most"] == CALLERS
    assert any(
        "asr funasr: 4 calls are being recognised, and this machine keeps up with no more; call"
        " again in a while" in why
        for why in fifth.failures
    )
    assert figures["calls_refused_total"] == 1
    assert figures["utterances_without_partials_total"] == 0  # nobody fell 3 s behind
    assert figures["processes_replaced_total"] == 0
