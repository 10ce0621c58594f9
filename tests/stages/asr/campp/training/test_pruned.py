"""A smaller language model of a larger one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.__main__ import run
from stages.asr.campp.decode.words import START, Chances, Table
from stages.asr.campp.training import wordmodel
from tests.stages.asr.campp.decode.test_spoken import lexicon


def test_a_pruned_model_keeps_its_words_and_what_changes_most(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lexicon(tmp_path)  # leaves words.lm
    large = Table.read(tmp_path / "words.lm")
    small_file = tmp_path / "small.lm"

    asked = ["--prune", str(tmp_path / "words.lm"), "--pairs", "4", "--triples", "1"]
    assert run(["asr", "words", str(small_file), *asked]) == 0

    assert "10 words, 4 pairs, 1 triples" in capsys.readouterr().out
    small = Table.read(small_file)
    assert (small.words, small.sounds) == (large.words, large.sounds)
    np.testing.assert_array_equal(small.grams[0].scores, large.grams[0].scores)
    assert set(small.grams[1].keys) < set(large.grams[1].keys)
    turn, right = (large.words.index(word) + 1 for word in ("turn", "right"))
    kept = Chances(small.grams).of((turn,), right)
    assert kept == pytest.approx(Chances(large.grams).of((turn,), right), abs=0.07)


def test_what_follows_a_word_still_adds_up_to_one(tmp_path: Path) -> None:
    lexicon(tmp_path)
    small = wordmodel.pruned(Table.read(tmp_path / "words.lm"), (4, 1))
    chances = Chances(small.grams)

    for before in range(len(small.words) + 1):
        total = sum(np.exp(chances.of((before,), word)) for word in range(1, len(small.words) + 1))
        left = np.exp(chances.single(START))  # nothing is said of the start
        assert total + left == pytest.approx(1.0, abs=0.1)
