from __future__ import annotations

import math
from pathlib import Path

import pytest

from stages.asr.campp.decode.hypothesis import SPACE, Hypothesis, Piece
from stages.asr.campp.decode.ngram import NGram
from stages.asr.campp.decode.rescore import fluency, rescored
from stages.asr.campp.training import arpa
from stages.asr.campp.training.manifest import BadInput

TEXTS = ["the cat sat", "the dog sat", "a cat ran", "the cat ran"]
LETTERS = [SPACE, *"abcdefghijklmnopqrstuvwxyz'"]


def model(tmp_path: Path, order: int, least: int = 1) -> NGram:
    arpa.write(TEXTS, order, tmp_path / "lm.arpa", least)
    return NGram.read(tmp_path / "lm.arpa")


def reading(text: str) -> Hypothesis:
    pieces = tuple(Piece(SPACE if c == " " else c, n, n) for n, c in enumerate(text))
    return Hypothesis(pieces, len(pieces), 0, len(pieces))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("context", [("<s>",), (), ("c", "a"), ("z",)])
def test_after_any_context_the_chances_of_all_that_was_seen_and_of_the_unknown_sum_to_one(
    tmp_path: Path, order: int, context: tuple[str, ...]
) -> None:
    made = model(tmp_path, order)
    seen = sorted({SPACE if c == " " else c for text in TEXTS for c in text})

    total = sum(math.exp(made.score(context, letter)[0]) for letter in [*seen, "<unk>"])

    assert total == pytest.approx(1.0, abs=1e-3)


def test_what_was_read_is_likelier_than_what_was_not(tmp_path: Path) -> None:
    made = model(tmp_path, 4)

    assert fluency(made, reading("the cat sat")) > fluency(made, reading("teh tac sta"))


def test_a_larger_model_knows_the_texts_better(tmp_path: Path) -> None:
    small = fluency(model(tmp_path, 2), reading("the dog sat"))
    large = fluency(model(tmp_path, 6), reading("the dog sat"))

    assert large > small


def test_rare_long_n_grams_can_be_left_out(tmp_path: Path) -> None:
    every = arpa.write(TEXTS, 5, tmp_path / "all.arpa")
    few = arpa.write(TEXTS, 5, tmp_path / "few.arpa", least=2)

    assert few < every
    assert NGram.read(tmp_path / "few.arpa").order == 5


def test_of_no_texts_no_model_can_be_made(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no texts to count"):
        arpa.write([], 3, tmp_path / "lm.arpa")


def test_rescoring_prefers_a_fluent_reading_to_a_slightly_louder_one(tmp_path: Path) -> None:
    nbest = [(-10.0, reading("the cat szt")), (-10.5, reading("the cat sat"))]

    best = rescored(nbest, model(tmp_path, 4), weight=0.5, length_bonus=0.0)

    assert best[0][1] == nbest[1][1]


def test_without_weight_the_sound_alone_decides(tmp_path: Path) -> None:
    nbest = [(-10.0, reading("szt")), (-10.5, reading("sat"))]

    assert rescored(nbest, model(tmp_path, 4), weight=0.0, length_bonus=0.0) == nbest
