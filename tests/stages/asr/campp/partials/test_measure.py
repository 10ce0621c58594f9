from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.asr.campp.partials.measure import (
    changes,
    delays,
    differing,
    gap,
    rate,
    to_beginning,
    to_whole,
)
from stages.events import Word

SAID = ("what", "is", "the", "capital", "of", "france")


def test_a_partial_is_not_wrong_for_what_it_does_not_show_yet() -> None:
    assert to_beginning(("what", "is"), SAID) == 0
    assert to_whole(("what", "is"), SAID) == 4


def test_the_nearest_beginning_counts_whatever_its_length() -> None:
    assert to_beginning(("what", "this", "the"), SAID) == 1
    assert to_beginning(("what", "the"), SAID) == 1
    assert to_beginning(("a", "b"), SAID) == 2
    assert to_beginning((), SAID) == 0


def test_words_beyond_the_end_are_wrong() -> None:
    assert to_beginning((*SAID, "or", "spain"), SAID) == 2


Said = tuple[str, ...]
words = st.lists(st.sampled_from("abc"), max_size=6).map(tuple)


@given(words, words)
def test_the_nearest_beginning_is_the_best_of_all_of_them(shown: Said, said: Said) -> None:
    beginnings = [said[:length] for length in range(len(said) + 1)]
    assert to_beginning(shown, said) == min(to_whole(shown, one) for one in beginnings)


def test_every_word_of_every_partial_counts() -> None:
    partials = [("what",), ("watt", "is"), ("what", "is", "a")]
    assert differing(partials, SAID) == (2, 6)


def test_a_word_that_grows_into_another_was_changed_and_one_that_stays_was_not() -> None:
    assert changes([("turn",), ("turn", "of"), ("turn", "off", "the")]) == (1, 4)


def test_words_that_are_taken_back_were_changed() -> None:
    assert changes([("turn", "off"), ("turn",), ("turn", "off")]) == (1, 3)
    assert changes([]) == (0, 0)


def test_a_word_is_late_from_its_end_until_it_has_come_to_stay() -> None:
    what, watt, is_ = Word("what", 0, 4000), Word("watt", 0, 3000), Word("is", 4200, 6000)
    partials = [(5000, [what]), (10_000, [watt, is_]), (15_000, [what, is_])]
    assert delays(partials) == [15_000 - 4000, 10_000 - 6000]


def test_a_word_may_be_shown_before_it_is_over() -> None:
    begun, whole = Word("forty", 0, 4000), Word("forty", 0, 9000)
    assert delays([(5000, [begun]), (10_000, [whole])]) == [-4000]
    assert delays([]) == []


def test_a_rate_is_of_all_utterances_together_and_knows_how_sure_it_is() -> None:
    even = rate([(1, 10)] * 20)
    assert (even.value, even.low, even.high) == pytest.approx((0.1, 0.1, 0.1))
    uneven = rate([(0, 10)] * 10 + [(6, 10)] * 10)
    assert uneven.value == pytest.approx(0.3)
    assert 0.15 < uneven.low < 0.25 < 0.35 < uneven.high < 0.45
    assert rate([(1, 10), (0, 90)]).value == pytest.approx(0.01)


def test_a_rate_of_nothing_is_no_number() -> None:
    assert math.isnan(rate([]).value)
    nothing = rate([(0, 0), (0, 0)])
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.low)


def test_a_gap_is_surer_than_its_two_rates_where_both_meet_the_same_trouble() -> None:
    ours = [(hard + 1, 10) for hard in (0, 2, 4, 6) * 5]
    theirs = [(hard, 10) for hard in (0, 2, 4, 6) * 5]
    assert gap(ours, theirs) == pytest.approx((0.1, 0.1, 0.1))
    assert rate(ours).high - rate(ours).low > 0.1
