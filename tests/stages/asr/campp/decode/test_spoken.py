"""The search from phones to words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from stages.asr.campp.decode.hypothesis import SPACE, spelled, words
from stages.asr.campp.decode.spoken import (
    Lexicon,
    NoSounds,
    Search,
    Spoken,
    SpokenBeam,
    tells_phones,
)
from stages.asr.campp.decode.words import Table
from stages.asr.campp.training import wordmodel
from stages.asr.campp.training.pronounce import Lexicon as Pronunciations
from stages.asr.campp.training.text import PHONE_TOKENS, TOKENS
from stages.threads import Workers

SOUNDS = {
    "turn": "T ER N", "right": "R AY T", "write": "R AY T", "a": "AH", "letter": "L EH T ER",
    "on": "AA N", "the": "DH AH", "light": "L AY T", "lights": "L AY T S", "stop": "S T AA P",
}  # fmt: skip
TEXTS = [
    "turn right", "turn right", "write a letter", "write the letter", "turn on the light",
    "turn on the lights", "the lights stop", "stop", "a light",
]  # fmt: skip


LIGHTS = ("turn", "on", "the", "lights")


def lexicon(tmp_path: Path) -> Lexicon:
    known = {word: [tuple(phones.split())] for word, phones in SOUNDS.items()}
    table = wordmodel.build(
        TEXTS, None, 100, (100, 100), own=1.0, lexicon=Pronunciations(known, guess=False)
    )
    table.save(tmp_path / "words.lm")
    return Lexicon(Table.read(tmp_path / "words.lm"), PHONE_TOKENS)


def heard(said: str, other: dict[int, dict[str, float]] | None = None) -> np.ndarray:
    """Return what a network gives that hears these phones, each in one frame before a blank."""
    phones = said.split()
    frames = np.full((2 * len(phones), len(PHONE_TOKENS)), math.log(1e-4), np.float32)
    for place, phone in enumerate(phones):
        frames[2 * place, PHONE_TOKENS.index(phone)] = math.log(0.9)
        frames[2 * place + 1, 0] = math.log(0.95)
        for rival, chance in (other or {}).get(place, {}).items():
            frames[2 * place, PHONE_TOKENS.index(rival)] = math.log(chance)
    return frames


def text(rules: Spoken, frames: np.ndarray) -> str:
    search = Search(rules)
    search.take(frames)
    return spelled(search.best().pieces)


def test_words_that_sound_alike_are_told_apart_by_those_before(tmp_path: Path) -> None:
    rules = Spoken(lexicon(tmp_path))

    assert text(rules, heard("T ER N R AY T")) == "turn right"
    assert text(rules, heard("R AY T AH L EH T ER")) == "write a letter"


def test_a_phone_that_is_unsure_is_decided_by_what_makes_words(tmp_path: Path) -> None:
    rules = Spoken(lexicon(tmp_path))
    frames = heard("T ER N AA N DH AH R AY T", other={7: {"L": 0.4, "R": 0.5}})

    assert text(rules, frames) == "turn on the light"


def test_the_last_phone_of_a_word_and_the_first_of_the_next_may_be_the_same(
    tmp_path: Path,
) -> None:
    rules = Spoken(lexicon(tmp_path))

    assert text(rules, heard("DH AH L AY T S S T AA P")) == "the lights stop"
    joined = np.delete(heard("DH AH L AY T S S T AA P"), 11, axis=0)  # the blank between
    assert text(rules, joined) != "the lights stop"


def test_nothing_is_made_of_silence_and_half_a_word_is_not_made_up(tmp_path: Path) -> None:
    rules = Spoken(lexicon(tmp_path))
    silence = np.full((10, len(PHONE_TOKENS)), -20.0, np.float32)
    silence[:, 0] = 0.0

    assert text(rules, silence) == ""
    assert text(rules, heard("T ER N R")) == "turn"


def test_a_call_s_hotwords_are_preferred_and_unknown_ones_left_out(tmp_path: Path) -> None:
    rules = Spoken(lexicon(tmp_path))
    frames = heard("T ER N R AY T")

    waiting = rules.with_hotwords(("Write", "xylophone"), 1.5)
    assert text(waiting, frames) == "turn write"


async def test_cut_in_any_way_and_looked_at_in_between_it_hears_the_same(tmp_path: Path) -> None:
    rules = Spoken(lexicon(tmp_path))
    frames = heard("T ER N AA N DH AH L AY T S")
    whole = Search(rules)
    whole.take(frames)
    decoder, settled = SpokenBeam(rules, Workers(1)), 0
    for start in range(0, len(frames), 3):
        await decoder.look(frames[start : start + 1])
        told = await decoder.take(frames[start : start + 3])
        assert told.settled >= settled
        settled = told.settled
    decoder.close()

    assert await decoder.nbest() == whole.ranked()
    (score, best), *_ = whole.ranked()
    assert score < 0
    assert "".join(piece.text for piece in best.pieces) == SPACE.join(["", *LIGHTS])
    assert best.frames == len(frames)
    assert best.trailing == 1
    places = [(word.start, word.end) for word in words(best.pieces, 0, 640)]
    assert places == sorted(places)
    assert places[1][0] == 6 * 640


def test_networks_of_phones_are_told_from_others_and_need_pronunciations(tmp_path: Path) -> None:
    assert tells_phones(PHONE_TOKENS)
    assert not tells_phones(TOKENS)

    silent = wordmodel.build(TEXTS, None, 100, (100, 100), own=1.0)
    with pytest.raises(NoSounds, match="has no pronunciations"):
        Lexicon(silent, PHONE_TOKENS)
    with pytest.raises(NoSounds, match="has no token for the phone 'T'"):
        Lexicon(Table(("at",), silent.grams, ((1, ("AE", "T")),)), ("<blank>", "AE"))
