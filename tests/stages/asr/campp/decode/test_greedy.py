"""Greedy decoding: nothing lost, nothing doubled, wherever it is cut."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.asr.campp.decode.greedy import Greedy
from stages.asr.campp.decode.hypothesis import Piece, spelled, words

TOKENS = ("<blank>", "a", "b", "你", "▁c")


def peaks(best: list[int]) -> np.ndarray:
    log_probs = np.full((len(best), len(TOKENS)), -9.0, dtype=np.float32)
    log_probs[np.arange(len(best)), best] = -0.01
    return log_probs


async def test_repeats_are_one_and_blanks_part_them() -> None:
    heard = await Greedy(TOKENS).take(peaks([0, 1, 1, 0, 1, 2, 2, 0, 0]))
    assert heard.pieces == (Piece("a", 1, 2), Piece("a", 4, 4), Piece("b", 5, 6))
    assert (heard.settled, heard.trailing, heard.frames) == (3, 2, 9)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=40), st.lists(st.integers(1, 9), max_size=9)
)
async def test_a_cut_at_a_chunk_edge_changes_nothing(best: list[int], cuts: list[int]) -> None:
    whole = await Greedy(TOKENS).take(peaks(best))
    decoder, at = Greedy(TOKENS), 0
    heard, shown = whole, ""
    for cut in [*cuts, len(best)]:
        heard = await decoder.take(peaks(best[at : at + cut]))
        text = spelled(heard.pieces)
        assert text.startswith(shown)
        shown = text
        at += cut
    assert heard == whole


async def test_a_look_is_forgotten() -> None:
    decoder = Greedy(TOKENS)
    await decoder.take(peaks([1]))
    assert spelled((await decoder.look(peaks([1, 2]))).pieces) == "ab"
    assert spelled((await decoder.take(peaks([1, 3]))).pieces) == "a你"


def test_han_characters_are_words_and_letters_are_joined() -> None:
    pieces = tuple(
        Piece(text, at, at)
        for at, text in enumerate(("▁he", "llo", "<unk>", "你", "好", "ok", "▁x"))
    )
    assert spelled(pieces) == "hello你好ok x"
    told = words(pieces, start=1000, hop=320)
    assert [word.text for word in told] == ["hello", "你", "好", "ok", "x"]
    assert (told[0].start, told[0].end) == (1000, 1640)
    assert told[-1].start == 1000 + 6 * 320
