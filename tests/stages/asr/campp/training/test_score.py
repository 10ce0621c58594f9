from __future__ import annotations

import math

import pytest

from stages.asr.campp.training.score import (
    Errors,
    distance,
    errors,
    gained,
    interval,
    together,
)


@pytest.mark.parametrize(
    ("said", "heard", "wrong"),
    [
        ("turn on the light", "turn on the light", 0),
        ("turn on the light", "turn the light", 1),
        ("turn on the light", "turn off the light", 1),
        ("turn on the light", "please turn on the light", 1),
        ("turn on the light", "", 4),
        ("", "noise", 1),
    ],
)
def test_words_to_change_put_in_or_leave_out_are_counted(said: str, heard: str, wrong: int) -> None:
    assert errors(said, heard) == Errors(wrong, len(said.split()))


def test_the_distance_is_the_same_both_ways() -> None:
    one, other = list("abcd"), list("bcxde")

    assert distance(one, other) == distance(other, one) == 3


def test_the_rate_of_many_is_of_all_words_together() -> None:
    assert together([Errors(1, 2), Errors(0, 8)]).rate == pytest.approx(0.1)


def test_of_nothing_said_there_is_no_rate() -> None:
    assert math.isnan(together([]).rate)


def test_the_interval_holds_the_rate_and_narrows_with_more_utterances() -> None:
    few, many = [Errors(n % 2, 1) for n in range(20)], [Errors(n % 2, 1) for n in range(2000)]

    low, high = interval(few)
    lower, higher = interval(many)

    assert low < 0.5 < high
    assert low < lower < 0.5 < higher < high
    assert interval(few) == (low, high)


def test_what_is_gained_is_of_the_same_utterances_so_its_interval_is_narrower() -> None:
    before = [Errors(n % 5, 5) for n in range(50)]
    after = [Errors(max(0, one.wrong - 1), one.words) for one in before]

    low, high = gained(before, after)

    assert low <= together(before).rate - together(after).rate <= high
    first, last = interval(before)
    assert high - low < last - first
    assert gained(before, before) == (0.0, 0.0)
    assert math.isnan(gained([], [])[0])
