from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")

from stages.asr.campp.training import sound
from stages.errors import UserError
from tests.stages.asr.campp.conftest import TINY, noise
from tests.stages.asr.campp.training.commands import asr
from tests.stages.asr.campp.training.tones import lesson, songbook


def test_a_check_tells_what_there_is_to_hear(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songbook(tmp_path / "songs", 10)
    lesson(tmp_path)

    asr("train", tmp_path / "lesson.yaml", "--data", tmp_path, "--work", tmp_path, "--check")

    assert capsys.readouterr().out.startswith("tones: 10 clips, 0.00 h")


def test_a_check_of_bad_data_lists_what_is_wrong(tmp_path: Path) -> None:
    songbook(tmp_path / "songs", 10)
    lesson(tmp_path)
    (tmp_path / "songs" / "3.wav").unlink()

    with pytest.raises(UserError, match=r"3\.wav is missing"):
        asr("train", tmp_path / "lesson.yaml", "--data", tmp_path, "--work", tmp_path, "--check")


def test_a_model_is_heard_and_its_errors_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound.save(tmp_path / "a.wav", noise(2.0))
    entry = {"path": "a.wav", "set": "mine", "text": "turn on the light"}
    (tmp_path / "m.jsonl").write_text(json.dumps(entry) + "\n")

    asr("evaluate", TINY, tmp_path / "m.jsonl", "--json")

    found = json.loads(capsys.readouterr().out)["sets"][0]
    assert (found["set"], found["clips"], found["words"]) == ("mine", 1, 4)
    assert found["wer"] == found["wrong"] / 4


def test_clips_whose_words_are_not_certain_are_not_counted(tmp_path: Path) -> None:
    sound.save(tmp_path / "a.wav", noise(1.0))
    entry = {"path": "a.wav", "set": "mine", "text": "hello", "use_for_scoring": False}
    (tmp_path / "m.jsonl").write_text(json.dumps(entry) + "\n")

    with pytest.raises(UserError, match="they have no clips of any set"):
        asr("evaluate", TINY, tmp_path / "m.jsonl")


def test_without_a_model_only_the_model_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        asr("evaluate")

    told = capsys.readouterr().err
    assert "[MANIFEST.jsonl ...]" in told
    assert told.endswith("the following arguments are required: MODEL.onnx\n")


def test_without_anything_to_hear_it_says_what_is_missing() -> None:
    with pytest.raises(UserError, match="give a manifest, or --config"):
        asr("evaluate", TINY)


def test_a_voice_without_a_share_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not like hibari="):
        asr("speak", tmp_path, "--voices", "hibari")
