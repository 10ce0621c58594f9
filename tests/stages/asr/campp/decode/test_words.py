"""The language model over words: made of texts, read by a beam that spells."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from stages.asr.campp.decode import language
from stages.asr.campp.decode.hypothesis import SPACE, spelled
from stages.asr.campp.decode.ngram import NGram, NotArpa
from stages.asr.campp.decode.prefix_beam import Beam, Rules
from stages.asr.campp.decode.words import NotWords, WordModel
from stages.asr.campp.training import wordmodel
from stages.asr.campp.training.manifest import BadInput

TEXTS = [
    "turn on the light", "turn off the light", "turn on the radio", "the light is on",
    "write a letter", "the right letter", "turn right", "light the lamp", "a lamp and a light",
    "the radio is off", "turn off the radio", "write to the radio",
]  # fmt: skip
TOKENS = ("<blank>", "<unk>", SPACE, *"abcdefghijklmnopqrstuvwxyz", "'")


def model(tmp_path: Path, texts: list[str] = TEXTS, general: Path | None = None) -> WordModel:
    file = tmp_path / "words.lm"
    wordmodel.build(texts, general, 1000, (1000, 1000), own=0.5).save(file)
    return WordModel.read(file)


def price(model: WordModel, text: str) -> float:
    """Return what a beam pays for a text, letter by letter."""
    context, total = model.start, 0.0
    for letter in text:
        score, context = model.score(context, SPACE if letter == " " else letter)
        total += score
    return total + model.finish(context)


def general_model(tmp_path: Path) -> Path:
    file = tmp_path / "general.arpa"
    file.write_text(
        "\\data\\\n\\1-grams:\n-1.0\t</s>\n-99\t<s>\t-0.3\n-0.7\tlight\t-0.3\n-0.7\tnight\t-0.3\n"
        "-0.7\tgood\t-0.5\n\n\\2-grams:\n-0.1\tgood night\n-0.2\t<s> good\n\n\\end\\\n"
    )
    return file


def test_words_after_a_word_add_up_to_one(tmp_path: Path) -> None:
    found = model(tmp_path)
    words = sorted({word for text in TEXTS for word in text.split()})
    for history in ("", "turn ", "turn on ", "turn on the "):
        total = sum(math.exp(price(found, history + w) - price(found, history.strip()))
                    for w in words)  # fmt: skip
        assert total == pytest.approx(1.0, abs=0.12)  # stored numbers are rounded


def test_what_was_said_more_often_is_cheaper_and_letters_in_between_change_nothing(
    tmp_path: Path,
) -> None:
    found = model(tmp_path)

    assert price(found, "turn on the light") > price(found, "turn on the letter")
    assert price(found, "turn on the light") > price(found, "on light the turn")
    assert price(found, "turn on the lite") < price(found, "turn on the letter")
    assert price(found, "turn on the xylophone") < price(found, "turn on the xylo")


def test_a_general_model_brings_its_own_words_and_pairs(tmp_path: Path) -> None:
    found = model(tmp_path, general=general_model(tmp_path))

    assert price(found, "good night") > price(found, "good light")
    assert price(found, "night") > price(found, "nigh")
    assert price(found, "turn on") > price(found, "night on")


def test_a_beam_hears_the_word_that_makes_sense(tmp_path: Path) -> None:
    """The letters are unsure between r and l in both words; only words can tell."""
    log_probs = np.full((2 * len("turn on the light"), len(TOKENS)), math.log(0.001), np.float32)
    for place, letter in enumerate("turn on the light"):
        token = TOKENS.index(SPACE if letter == " " else letter)
        log_probs[2 * place, token] = math.log(0.9)
        log_probs[2 * place + 1, 0] = math.log(0.95)
        if letter in "rl":
            log_probs[2 * place, TOKENS.index("r")] = math.log(0.50)
            log_probs[2 * place, TOKENS.index("l")] = math.log(0.45)

    def heard(rules: Rules) -> str:
        beam = Beam(rules)
        beam.take(log_probs)
        return spelled(beam.ranked()[0][1].pieces)

    assert heard(Rules(TOKENS)) == "turn on the right"
    assert heard(Rules(TOKENS, model=model(tmp_path), weight=0.5)) == "turn on the light"


def test_half_a_word_at_the_end_is_paid_for_when_nothing_follows(tmp_path: Path) -> None:
    found = model(tmp_path)
    _, whole = found.score(found.start, "a")
    context = found.start
    for letter in "lig":
        _, context = found.score(context, letter)

    assert found.finish(whole) > found.finish(context)
    assert found.finish(found.start) == 0.0


def test_files_are_read_by_their_kind_and_broken_ones_are_named(tmp_path: Path) -> None:
    file = tmp_path / "words.lm"
    model(tmp_path)
    assert isinstance(language.read(file), WordModel)

    arpa = general_model(tmp_path)
    assert isinstance(language.read(arpa), NGram)

    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(NotWords, match=r"words\.lm is no language model over words"):
        language.read(file)
    with pytest.raises(NotWords):
        language.read(tmp_path / "missing.lm")


def test_faults_of_what_a_model_is_made_of_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there are no words in them"):
        wordmodel.build(["", "3"], None, 10, (10, 10), own=1.0)
    broken = tmp_path / "broken.arpa"
    broken.write_text("\\1-grams:\nx\tword\n")
    with pytest.raises(NotArpa, match=r"broken\.arpa is no ARPA"):
        wordmodel.build(TEXTS, broken, 10, (10, 10), own=0.5)


def test_rare_n_grams_are_left_out_first(tmp_path: Path) -> None:
    small = wordmodel.build(TEXTS, None, 1000, (8, 3), own=1.0)
    large = wordmodel.build(TEXTS, None, 1000, (1000, 1000), own=1.0)

    assert [len(grams.keys) for grams in small.grams[1:]] <= [8, 3]
    assert len(large.grams[1].keys) > 8
    assert set(small.grams[1].keys) <= set(large.grams[1].keys)
