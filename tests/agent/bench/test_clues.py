"""What clues are worth: a fit finds what was put into the pauses, and is judged on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.bench.clues import Heard, fit, ranked
from agent.bench.endpoint import weigh
from agent.endpoint import Evidence
from stages.audio import samples_in, silence
from tests.agent.bench.test_endpoint import BARE, recordings, tone


def heard(number: int, text: str, end: bool, complete: float = 0.5) -> Heard:
    return Heard(frozenset({f"r{number}"}), Evidence(complete, text), end)


def test_a_clue_that_only_pauses_have_weighs_much_and_one_that_tells_nothing_little() -> None:
    pauses = [heard(number, "first the bread,", end=False) for number in range(20)]
    pauses += [heard(number, "that is all there is", end=True) for number in range(20)]
    pauses += [heard(number, "is it?", end=number % 2 == 0) for number in range(20)]
    worth = fit(pauses)
    assert worth.pauses == (30, 30)
    assert worth.weights["comma"] > 1
    assert abs(worth.weights["question"]) < worth.weights["comma"] / 2
    assert worth.left_out > 0.8
    assert worth.ours > 0.7


def test_what_holds_in_one_recording_only_is_worth_nothing_for_the_others() -> None:
    # Each recording contradicts the others: learnt by heart it would look good.
    pauses = [
        heard(number, "one two," if comma else "one two", end=comma == (number % 2 == 0))
        for number in range(8)
        for comma in (True, False)
    ]
    assert fit(pauses).left_out <= 0.5


def test_a_tie_is_half_a_pair() -> None:
    assert ranked(np.array([1.0, 2.0]), np.array([1.0])) == 0.75
    assert np.isnan(ranked(np.array([]), np.array([1.0])))


async def test_pauses_are_taken_from_recordings_once_each(tmp_path: Path) -> None:
    halting = np.concatenate([tone(700), silence(samples_in(600)), tone(700)])
    worth = await weigh(BARE, recordings(tmp_path, halting), None)
    ends, inner = worth.pauses
    assert ends >= 1
    assert inner >= 1
    assert worth.ours == pytest.approx(0.5)  # the same words and no opinion, every time
