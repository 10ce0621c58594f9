from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")

from stages.asr.campp.training import manifest, sound, synthetic, texts
from stages.asr.campp.training.synthetic import NoVoice
from stages.asr.campp.training.tails import NotWritten
from tests.stages.asr.campp.training.tones import songbook
from tests.stages.full_disk import only_so_many_bytes_a_file


def hello(rng: random.Random) -> str:
    return rng.choice(["hello there", "good morning", "see you tomorrow"])


def test_every_clip_is_said_in_a_voice_of_its_own_and_can_be_said_again(tmp_path: Path) -> None:
    one = synthetic.speak(hello, {"hibari": 1.0}, 3, 7, tmp_path / "one")
    other = synthetic.speak(hello, {"hibari": 1.0}, 3, 7, tmp_path / "other")

    clips = manifest.read(one)
    assert [clip.group for clip in clips] == ["hibari"] * 3
    for clip, again in zip(clips, manifest.read(other), strict=True):
        assert clip.text == again.text
        samples = sound.load(clip.file)
        assert np.array_equal(samples, sound.load(again.file))
        assert 0.3 < len(samples) / 16_000 < 5
        assert 0.4 < np.abs(samples).max() < 0.6


def test_what_was_said_before_it_broke_off_is_not_said_again(tmp_path: Path) -> None:
    whole = synthetic.speak(hello, {"hibari": 1.0}, 3, 7, tmp_path / "said")
    lines = whole.read_text().splitlines()
    whole.unlink()
    (tmp_path / "said" / "manifest.part").write_text(lines[0] + "\n")
    (tmp_path / "said" / "000000.wav").write_bytes(b"kept")

    synthetic.speak(hello, {"hibari": 1.0}, 3, 7, tmp_path / "said")

    assert whole.read_text().splitlines() == lines
    assert (tmp_path / "said" / "000000.wav").read_bytes() == b"kept"


def test_a_line_that_was_torn_is_said_again(tmp_path: Path) -> None:
    whole = synthetic.speak(hello, {"hibari": 1.0}, 3, 7, tmp_path / "said")
    lines = whole.read_text().splitlines()
    whole.unlink()
    (tmp_path / "said" / "manifest.part").write_text(lines[0] + "\n" + lines[1][:20])
    (tmp_path / "said" / "000001.wav").write_bytes(b"torn too")

    synthetic.speak(hello, {"hibari": 1.0}, 3, 7, tmp_path / "said")

    assert whole.read_text().splitlines() == lines
    assert all(clip.duration > 0.3 for clip in manifest.read(whole, opened=True))


def test_speech_that_finds_no_room_goes_on_when_there_is_some(tmp_path: Path) -> None:
    with (
        only_so_many_bytes_a_file(10_000),
        pytest.raises(NotWritten, match=r"manifest\.part could not be written"),
    ):
        synthetic.speak(hello, {"hibari": 1.0}, 2, 7, tmp_path / "said")

    whole = synthetic.speak(hello, {"hibari": 1.0}, 2, 7, tmp_path / "said")
    assert len(manifest.read(whole, opened=True)) == 2


@pytest.mark.parametrize(("engine", "program"), [("flite", "flite"), ("espeak", "espeak-ng")])
def test_voices_of_other_programs_speak_too(tmp_path: Path, engine: str, program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs the program {program}")

    said = synthetic.speak(hello, {engine: 1.0}, 2, 1, tmp_path / "said")

    assert all(clip.duration > 0.3 for clip in manifest.read(said))


def test_a_voice_that_nobody_knows_is_named() -> None:
    with pytest.raises(NoVoice, match="The voice 'siri' is not here"):
        synthetic.speakers({"siri": 1.0})


def test_texts_that_are_held_back_are_never_said(tmp_path: Path) -> None:
    songs = songbook(tmp_path / "songs", 60)
    lines = [json.loads(line) for line in songs.read_text().splitlines()]
    for number, line in enumerate(lines):
        line["text"] = f"{line['text']} {chr(97 + number % 26)}"
    songs.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    config = tmp_path / "c.yaml"
    config.write_text(
        "sources:\n- {name: tones, manifest: '{data}/songs/manifest.jsonl', hold_by: text,"
        " hold_share: 0.5}\nsteps: {total: 1}\n"
    )
    draw = texts.sentences(None, config, tmp_path, None)
    said = {draw(random.Random(seed)) for seed in range(1500)}

    clips = manifest.read(songs)
    held = {clip.text for clip in clips if manifest.held_back(clip, "text", 0.5)}
    assert held
    assert not said & held
    assert said & {clip.text for clip in clips}
