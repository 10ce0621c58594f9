from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")

from stages.asr.campp.training import corpus
from stages.asr.campp.training.pronounce import Lexicon, NoDictionary
from stages.asr.campp.training.text import PHONE_TOKENS, encoded, phones_encoded, tokens_for
from tests.stages.asr.campp.training.tones import lesson, songbook


def test_a_text_is_the_usual_phones_of_its_words() -> None:
    known = Lexicon({"read": [("R", "IY", "D"), ("R", "EH", "D")], "it": [("IH", "T")]}, False)

    assert known.spelled("read it") == ("R", "IY", "D", "IH", "T")
    assert known.spelled("read them") is None
    assert known.of("them") == []


def test_a_missing_dictionary_is_named_with_the_way_out() -> None:
    with pytest.raises(NoDictionary, match=r"firstword\[train\]', or set 'network.units: letters'"):
        Lexicon.read("no_such_package")


def test_cmu_s_dictionary_knows_variants_and_flite_guesses_the_rest() -> None:
    pytest.importorskip("pocketsphinx", reason="needs PocketSphinx: pip install 'firstword[train]'")
    known = Lexicon.read()

    assert [phones[3] for phones in known.of("tomato")] == ["EY", "AA"]
    if shutil.which("flite"):
        assert known.of("shopton") == [("SH", "AA", "P", "T", "AH", "N")]


def test_phones_are_numbered_after_blank_and_unknown() -> None:
    assert [PHONE_TOKENS[number] for number in phones_encoded(["AA", "ZH"])] == ["AA", "ZH"]
    assert tokens_for(len(PHONE_TOKENS)) == PHONE_TOKENS


def test_a_corpus_in_phones_has_the_frames_of_one_in_letters(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="needs PocketSphinx: pip install 'firstword[train]'")
    songbook(tmp_path / "songs", 12)
    config = lesson(tmp_path)
    letters = corpus.prepare(config, tmp_path, tmp_path / "work", lambda _: None)
    told: list[str] = []
    network = config.network.model_copy(update={"units": "phones"})
    spoken = config.model_copy(update={"network": network})
    phones = corpus.prepare(spoken, tmp_path, tmp_path / "work", told.append)

    assert len(list((tmp_path / "work" / "frames").iterdir())) == 1
    before = {item.key: item.tokens for item in letters.items}
    for item in phones.items:
        assert item.tokens != before[item.key]
        assert max(item.tokens) < len(PHONE_TOKENS)
    assert encoded("ab") != phones_encoded(["AA", "B"])
