"""Prefix beam search, held against the sum over every possible alignment."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.asr.campp.decode.hotwords import Hotwords
from stages.asr.campp.decode.hypothesis import Hypothesis, spelled
from stages.asr.campp.decode.ngram import NGram, NotArpa
from stages.asr.campp.decode.prefix_beam import Beam, PrefixBeam, Rules
from stages.threads import Workers

TOKENS = ("<blank>", "a", "b", "c")
WIDE = Rules(TOKENS, beam=500, candidates=4, floor=-99.0, sure=0.1)


def posteriors(frames: int, seed: int, sharpness: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).standard_normal((frames, len(TOKENS))) * sharpness
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits.astype(np.float32)


def every_alignment(log_probs: np.ndarray) -> dict[str, float]:
    """Return every text with the log of its whole probability."""
    found: dict[str, float] = {}
    for path in itertools.product(range(len(TOKENS)), repeat=len(log_probs)):
        text = "".join(TOKENS[token] for token, _ in itertools.groupby(path) if token)
        score = float(sum(log_probs[frame, token] for frame, token in enumerate(path)))
        found[text] = np.logaddexp(found.get(text, -math.inf), score)
    return found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), frames=st.integers(1, 6))
def test_every_text_has_its_true_probability(seed: int, frames: int) -> None:
    log_probs = posteriors(frames, seed)
    beam = Beam(WIDE)
    beam.take(log_probs)
    ranked = beam.ranked()
    truth = every_alignment(log_probs)
    assert len(ranked) == len(truth)
    for score, told in ranked:
        assert score == pytest.approx(truth[spelled(told.pieces)], abs=1e-4)
    assert [score for score, _ in ranked] == sorted((s for s, _ in ranked), reverse=True)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999), cuts=st.lists(st.integers(1, 8), min_size=1, max_size=6))
async def test_a_cut_changes_nothing_and_settled_stays(seed: int, cuts: list[int]) -> None:
    log_probs, rules = posteriors(sum(cuts), seed, 3.0), Rules(TOKENS, beam=4, candidates=4)
    whole = Beam(rules)
    whole.take(log_probs)
    decoder, at = PrefixBeam(rules, Workers(1)), 0
    told: list[Hypothesis] = []
    for cut in cuts:
        await decoder.look(posteriors(3, seed + 1))
        told.append(await decoder.take(log_probs[at : at + cut]))
        at += cut
    assert await decoder.nbest() == whole.ranked()
    for index, one in enumerate(told):
        for later in told[index:]:
            assert spelled(later.pieces).startswith(spelled(one.pieces[: one.settled]))
            assert later.settled >= one.settled


async def test_times_are_those_of_the_strongest_frames() -> None:
    log_probs = np.log(
        np.array(
            [
                [0.9, 0.05, 0.03, 0.02],
                [0.1, 0.85, 0.03, 0.02],
                [0.9, 0.05, 0.03, 0.02],
                [0.05, 0.05, 0.88, 0.02],
                [0.05, 0.05, 0.88, 0.02],
            ],
            dtype=np.float32,
        )
    )
    told = await PrefixBeam(Rules(TOKENS), Workers(1)).take(log_probs)
    assert [(one.text, one.first, one.last) for one in told.pieces] == [("a", 1, 1), ("b", 3, 4)]
    assert told.trailing == 0


def test_a_hotword_wins_where_it_is_likely_enough_and_only_whole() -> None:
    log_probs = np.log(
        np.array([[0.1, 0.5, 0.3, 0.1], [0.9, 0.04, 0.03, 0.03], [0.1, 0.3, 0.1, 0.5]], np.float32)
    )
    said = []
    for hotwords in ([], ["bc"], ["bx"]):
        # TOKENS have no word marks: a hotword of Han characters would match; so would these
        trie = Hotwords([], 2.0)
        for word in hotwords:
            trie._insert(word)
        trie._link()
        beam = Beam(Rules(TOKENS, hotwords=trie))
        beam.take(log_probs)
        said.append(spelled(beam.ranked()[0][1].pieces))
    assert said == ["ac", "bc", "ac"]


def test_a_hotword_is_found_however_it_is_cut_into_tokens() -> None:
    trie = Hotwords(["New York", "纽约"], 1.0)
    for cut in (["▁new", "▁york"], ["▁", "n", "ew", "▁y", "ork"], ["▁New▁York"]):
        place, total = trie.root, 0.0
        for token in cut:
            place, change = trie.follow(place, token)
            total += change
        assert total + trie.undo(place) == len("▁new▁york")
    place, change = trie.follow(trie.root, "▁new▁x")
    assert change + trie.undo(place) == 0.0


def test_half_a_hotword_falls_back_to_another_that_begins_in_it() -> None:
    trie = Hotwords(["中国人民", "国人好"], 1.0)
    place, change = trie.follow(trie.root, "中国人")
    assert (place.depth, change) == (3, 3.0)
    place, change = trie.follow(place, "好")
    assert (place.depth, change) == (0, 0.0)  # three for 国人好, the three of before given back


ARPA = """\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-1.0 <unk>
-99 <s> -0.5
-0.6 a -0.3
-0.9 b
-0.7 </s>

\\2-grams:
-0.1 <s> b
-0.2 b a
-1.5 a a

\\end\\
"""


@pytest.fixture
def model(tmp_path: Path) -> NGram:
    (tmp_path / "lm.arpa").write_text(ARPA)
    return NGram.read(tmp_path / "lm.arpa")


def test_an_arpa_model_backs_off(model: NGram) -> None:
    assert model.order == 2
    score, context = model.score(("<s>",), "b")
    assert score == pytest.approx(-0.1 * math.log(10))
    assert context == ("b",)
    assert model.score(("<s>",), "a")[0] == pytest.approx((-0.5 - 0.6) * math.log(10))
    assert model.score(("b",), "zebra")[0] == pytest.approx(-1.0 * math.log(10))


def test_a_language_model_tips_the_scales(model: NGram) -> None:
    log_probs = np.log(np.array([[0.1, 0.5, 0.3, 0.1], [0.1, 0.5, 0.1, 0.3]], np.float32))
    texts = []
    for weight in (0.0, 2.0):
        beam = Beam(Rules(TOKENS, model=model, weight=weight, length_bonus=weight / 2))
        beam.take(log_probs)
        texts.append(spelled(beam.ranked()[0][1].pieces))
    assert texts == ["a", "ba"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it has no n-grams"),
        ("\\1-grams:\nminus a\n", r":2 is no ARPA .*'minus a' is no 1-gram"),
    ],
)
def test_a_broken_arpa_file_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(text)
    with pytest.raises(NotArpa, match=sentence):
        NGram.read(tmp_path / "lm.arpa")
