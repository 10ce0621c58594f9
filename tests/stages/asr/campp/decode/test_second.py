"""The second model: at the endpoint it chooses among the readings of a search for words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stages.asr.campp.decode.hypothesis import spelled
from stages.asr.campp.decode.said import Said
from stages.asr.campp.decode.second import Second
from stages.asr.campp.decode.spoken import Search, Spoken, SpokenBeam
from stages.asr.campp.decode.words import LETTER, START, UNLISTED, Table
from stages.asr.campp.training import wordmodel
from stages.threads import Workers
from tests.stages.asr.campp.decode.test_spoken import heard, lexicon

NOTHING = np.zeros((0, 41), np.float32)

OTHER_TEXTS = ["right a letter on the light", "right a letter on the lights"] * 20
"""Of people who right letters and know no other words."""


def rules(tmp_path: Path, texts: list[str], weight: float = 0.6) -> Spoken:
    """Return the search's rules with a second model of some texts."""
    first = Spoken(lexicon(tmp_path))
    table = wordmodel.build(texts, None, 100, (100, 100), own=1.0)
    words = first.lexicon
    return replace(first, second=Second(words.chances, first.weight, words.words, table, weight))


async def test_partials_go_by_the_first_model_and_the_final_by_the_second(tmp_path: Path) -> None:
    decoder = SpokenBeam(rules(tmp_path, OTHER_TEXTS), Workers(1))

    shown = await decoder.take(heard("R AY T AH L EH T ER"))
    final = await decoder.look(NOTHING)

    assert spelled(shown.pieces) == "write a letter"
    assert spelled(final.pieces) == "right a letter"


async def test_a_beginning_that_the_search_has_dropped_can_win_at_the_end(tmp_path: Path) -> None:
    frames = heard("R AY T AH L EH T ER AA N DH AH L AY T")
    both = rules(tmp_path, OTHER_TEXTS)
    search = Search(both)
    search.take(frames)

    beginnings = {entry.pieces[0].text for _, entry in search.ranked()}
    assert beginnings == {"▁write"}  # after two more words nothing can tell the two apart
    assert spelled(search.best().pieces) == "write a letter on the light"
    assert spelled(search.final().pieces) == "right a letter on the light"


async def test_words_lie_where_they_were_heard_whoever_chose_them(tmp_path: Path) -> None:
    search = Search(rules(tmp_path, OTHER_TEXTS))
    search.take(heard("R AY T AH L EH T ER AA N"))

    places = [(piece.first, piece.last) for piece in search.final().pieces]

    assert len(places) == 4
    assert places == sorted(places)
    assert places[-1][0] == 16  # two frames a phone, and "on" begins with the ninth


async def test_each_reading_comes_once_best_first_and_no_more_than_asked(tmp_path: Path) -> None:
    search = Search(rules(tmp_path, OTHER_TEXTS))
    search.take(heard("R AY T AH L EH T ER AA N DH AH L AY T"))

    found = search.readings()

    scores = [score for score, _ in found]
    assert scores == sorted(scores, reverse=True)
    texts = [tuple(said.numbers()) for _, said in found]
    assert len(set(texts)) == len(texts) > 2
    assert len(search.readings(2)) == 2


async def test_a_final_that_is_not_the_last_leaves_the_search_as_it_was(tmp_path: Path) -> None:
    both = rules(tmp_path, OTHER_TEXTS)
    frames = heard("R AY T AH L EH T ER AA N")
    decoder, plain = SpokenBeam(both, Workers(1)), Search(both)
    plain.take(frames)
    shown = []
    for start in range(0, len(frames), 3):
        await decoder.look(frames[start : start + 2])
        shown.append(await decoder.take(frames[start : start + 3]))

    assert shown[-1] == plain.best()
    assert await decoder.look(NOTHING) == await decoder.look(NOTHING) == plain.final()


def test_the_same_model_with_the_same_weight_changes_no_score(tmp_path: Path) -> None:
    first = Spoken(lexicon(tmp_path))
    words = first.lexicon
    same = Table.read(tmp_path / "words.lm")
    search = Search(replace(first, second=Second(words.chances, 0.6, words.words, same, 0.6)))
    search.take(heard("T ER N AA N DH AH L AY T S"))

    changes = [
        Second(words.chances, 0.6, words.words, same, 0.6).change(said)
        for _, said in search.readings()
    ]

    assert changes == pytest.approx([0.0] * len(changes))
    assert search.final() == search.best()


def test_words_that_the_second_model_does_not_know_cost_by_their_letters(tmp_path: Path) -> None:
    words = lexicon(tmp_path)
    table = wordmodel.build(["turn right"] * 3, None, 100, (100, 100), own=1.0)
    second = Second(words.chances, 0.0, words.words, table, 1.0)
    nothing = Said(None, START, (START,), 0, 0, 0)

    turn = nothing.then(words.words.index("turn"), 0, 4)
    write = turn.then(words.words.index("write"), 6, 10)

    price = second.change(write) - second.change(turn)
    assert price == pytest.approx(UNLISTED + len("write") * LETTER)
