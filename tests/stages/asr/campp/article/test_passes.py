from __future__ import annotations

from pathlib import Path

import pytest

from stages.asr.campp.article import passes
from stages.asr.campp.training import manifest
from stages.errors import UserError
from stages.models import ModelStore
from tests.stages.asr.campp.training.tones import songbook


def test_another_recogniser_has_the_last_word_and_its_time_is_taken(tmp_path: Path) -> None:
    clips = manifest.read(songbook(tmp_path / "songs", 3))

    finals = passes.second("scripted", clips)

    assert finals.texts == ("hello can you hear me",) * 3  # each clip is a call of its own
    assert len(finals.ms) == 3
    assert min(finals.ms) > 0


def test_numbers_and_marks_are_written_as_in_the_references() -> None:
    assert passes.spelled_out("Set it to 21, please!") == "set it to twenty one please"
    assert passes.spelled_out("It's 5% off") == "it's five percent off"


def test_a_recogniser_whose_model_was_never_pulled_is_told_with_the_command_for_it(
    tmp_path: Path,
) -> None:
    passes.check("scripted", ModelStore(tmp_path))  # it needs none
    with pytest.raises(UserError, match="firstword models pull"):
        passes.check("moonshine", ModelStore(tmp_path))
    with pytest.raises(UserError, match=r"campp cannot be opened without settings \(model\)"):
        passes.check("campp", ModelStore(tmp_path))
