"""Which words take the word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.interrupt import BACKCHANNELS, is_backchannel, is_hum, is_order


@pytest.mark.parametrize(
    "text",
    ["", " ", "...", "Mm-hm.", "uh-huh", "Yeah, yeah.", "OK!", "Right…", "I see.", "Got it",
     "Mamma,,", "Aha!", "Uh, uh, uh", "Hahaha.",
     "嗯", "嗯。", "嗯嗯", "对对对", "好的。", "嗯，对", "是 的", "嗯嗯嗯"],
)  # fmt: skip
def test_a_nod_leaves_the_word(text: str) -> None:
    assert is_backchannel(text)


@pytest.mark.parametrize(
    "text",
    ["no", "wait", "stop", "Yeah, but no.", "okay stop", "what?", "yes yes yes yes",
     "不", "等一下", "停", "对了，还有一件事", "好的我知道了", "我"],
)  # fmt: skip
def test_words_take_it(text: str) -> None:
    assert not is_backchannel(text)


@pytest.mark.parametrize(
    "text", ["", "…", "Mm-hm.", "uh-huh", "Hmm, um.", "oh", "Aha!", "嗯", "嗯嗯，哦", "啊 嗯"]
)
def test_a_hum_says_nothing(text: str) -> None:
    assert is_hum(text)
    assert is_backchannel(text)


@pytest.mark.parametrize("text", ["right", "Yeah.", "mm, yes", "I see.", "好的", "嗯，对"])
def test_a_nod_that_is_a_word_is_no_hum(text: str) -> None:
    assert not is_hum(text)


@given(st.lists(st.sampled_from(sorted(BACKCHANNELS)), min_size=1, max_size=3))
def test_up_to_three_nods_are_a_nod(nods: list[str]) -> None:
    assert is_backchannel(", ".join(nods).upper() + ".")


@pytest.mark.parametrize(
    "text", ["Stop!", "no wait", "No, no, no.", "Hang on.", "Quit.", "等一下", "停。", "别说了。"]
)
def test_an_order_to_stop_is_one(text: str) -> None:
    assert is_order(text)


@pytest.mark.parametrize("text", ["", "...", "Nothing.", "Wait for me", "I don't know", "on", "好"])
def test_other_words_are_none(text: str) -> None:
    assert not is_order(text)
