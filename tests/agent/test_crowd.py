"""Callers who wait for an answer go before guesses, and guesses before reading ahead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import monotonic

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.calls import open_calls
from agent.crowd import ENOUGH, LATE_S, REMEMBERED_S, Crowd
from agent.engines import Stages
from agent.errors import CallRefused
from agent.messages import ReplyEnd
from agent.webrtc import IceSettings
from tests.agent.calling import calling, tone


def test_while_one_caller_waits_nothing_is_read_ahead_and_while_the_cores_are_taken_no_guess() -> (
    None
):
    crowd = Crowd(cores=2)
    assert crowd.has_room_for("readings")
    crowd.waits("reply 1", now=0.0)
    assert not crowd.has_room_for("readings")
    assert crowd.has_room_for("guesses")
    crowd.waits("reply 2", now=0.0)
    assert not crowd.has_room_for("guesses")
    crowd.answered("reply 1", now=0.3)
    crowd.gone("reply 2")
    assert crowd.has_room_for("readings")
    assert crowd.passed_over == {"readings": 1, "guesses": 1}


def answered(crowd: Crowd, count: int, wait: float, alone: float | None = 0.5) -> float:
    """Let one caller wait alone, and then two at a time; return when the last was answered."""
    if alone is not None:
        crowd.waits("alone", now=0.0)
        crowd.answered("alone", now=alone)
    now = 10.0
    for number in range(0, count, 2):
        pair = [number, number + 1][: count - number]
        crowd.waits("somebody who hangs up", now)
        for reply in pair:
            crowd.waits(reply, now)
        now += wait
        for reply in pair:
            crowd.answered(reply, now)
        crowd.gone("somebody who hangs up")
    return now


@pytest.mark.parametrize("alone", [0.5, None])
def test_late_answers_that_wait_for_each_other_keep_new_callers_away(alone: float | None) -> None:
    crowd = Crowd(cores=2)
    now = answered(crowd, 6, wait=2 * LATE_S, alone=alone)
    assert crowd.why_full(now) == (
        "This machine is too busy: its callers wait 4 s for an answer."
    )
    assert not crowd.why_full(now + REMEMBERED_S + 1)


@pytest.mark.parametrize(
    ("count", "wait", "alone"),
    [
        (ENOUGH - 1, 2 * LATE_S, 0.5),  # too few to say
        (6, 0.5 * LATE_S, 0.1),  # later than alone, and in time
        (6, 2 * LATE_S, 1.5 * LATE_S),  # late for one, too: something far away is slow
        (0, 0.0, None),
    ],
)
def test_else_another_caller_may_come(count: int, wait: float, alone: float | None) -> None:
    crowd = Crowd(cores=2)
    assert not crowd.why_full(answered(crowd, count, wait, alone))


@given(st.lists(st.tuples(st.sampled_from(["waits", "answered", "gone"]), st.integers(0, 3))))
def test_whatever_happens_who_waits_is_known(events: list[tuple[str, int]]) -> None:
    crowd, waiting = Crowd(cores=2), set()
    for now, (event, reply) in enumerate(events):
        if event == "waits":
            crowd.waits(reply, float(now))
            waiting.add(reply)
        else:
            if event == "answered":
                crowd.answered(reply, float(now))
            else:
                crowd.gone(reply)
            waiting.discard(reply)
        assert crowd.waiting == len(waiting)


# --- in calls -------------------------------------------------------------------------------


def crowded(stages: Stages) -> Stages:
    crowd = Crowd(cores=1)
    crowd.waits("somebody else", now=0.0)
    return replace(stages, crowd=crowd)


@pytest.mark.timeout(60)
async def test_a_guess_that_gave_way_is_made_when_it_is_due(tmp_path: Path) -> None:
    async with calling(tmp_path, change=crowded) as running:
        await running.page.wait_for(ReplyEnd)  # the greeting
        running.line.say(tone(0.7))
        end = await running.page.wait_for(ReplyEnd, 2)
        assert end.heard
        (record,) = await running.recorded(1)
        crowd = running.call.stages.crowd
        assert record.speculation is None
        assert crowd.passed_over["guesses"] == 1
        assert crowd.waiting == 1  # somebody else, still


@pytest.mark.timeout(60)
async def test_whose_line_is_lost_waits_no_longer(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await running.page.wait_for(ReplyEnd)
        running.line.say(tone(0.7))
        await running.page.wait_for(ReplyEnd, 2)
        running.line.leave()
        await anyio.wait_all_tasks_blocked()
        assert running.call.stages.crowd.waiting == 0


async def test_a_house_that_is_too_busy_says_so(tmp_path: Path) -> None:
    kept, ice = tmp_path / "turns.sqlite", IceSettings()
    async with open_calls(
        limit=2, default_profile="bare", ice=ice, models=tmp_path, traces=kept
    ) as house:
        crowd, now = house.engines.crowd, monotonic()
        for number in range(ENOUGH + 1):
            crowd.waits(number, now - 60)
        for number in range(ENOUGH):
            crowd.answered(number, now)
        with pytest.raises(CallRefused, match=r"too busy.* Try again in a while\.") as refused:
            await house.start("v=0", None, None)
        assert refused.value.status == 503
        assert refused.value.retry_after
