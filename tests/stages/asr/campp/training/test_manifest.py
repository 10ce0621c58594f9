from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import pytest

from stages.asr.campp.training import manifest, sound
from stages.asr.campp.training.manifest import BadInput, Clip
from stages.audio import silence


def written(folder: Path, *entries: Any) -> Path:
    file = folder / "manifest.jsonl"
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in entries]
    file.write_text("\n".join(lines) + "\n")
    return file


def clip(folder: Path, name: str = "a.wav", **fields: Any) -> dict[str, Any]:
    sound.save(folder / name, silence(16_000))
    return {"path": name, "text": "hello", "set": "mine", **fields}


def test_texts_are_read_in_small_letters_without_marks(tmp_path: Path) -> None:
    file = written(tmp_path, clip(tmp_path, text="It’s ten-thirty, isn't it? Café!"))

    assert manifest.read(file)[0].text == "it's ten thirty isn't it cafe"


def test_all_faults_are_told_at_once_before_an_hour_is_spent(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    file = written(
        tmp_path,
        clip(tmp_path),
        {"path": "gone.wav", "text": "hello"},
        {"path": "empty.wav", "text": "hello"},
        clip(tmp_path, "b.wav", text=" ?! "),
        clip(tmp_path, "c.wav", text="你好 5 times"),
        clip(tmp_path, "d.wav", duration=75.0),
        "not json",
        {"path": 3, "text": "hello"},
    )

    with pytest.raises(BadInput) as caught:
        manifest.read(file)

    assert caught.value.faults == (
        "line 2: gone.wav is missing",
        "line 3: empty.wav is an empty file",
        "line 4: b.wav has no text",
        "line 5: c.wav has characters that are no tokens: '你好5'",
        "line 6: d.wav lasts 75 s, more than 60 s",
        "line 7 is no JSON object with the texts path and text",
        "line 8 is no JSON object with the texts path and text",
    )


def test_of_many_faults_the_first_twenty_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    file = written(tmp_path, *({"path": f"{n}.wav", "text": "a"} for n in range(50)))

    with pytest.raises(BadInput, match=r"50 faults") as caught:
        manifest.read(file)

    assert str(caught.value).endswith("- and 30 more")
    assert len(str(caught.value).splitlines()) == 22


def test_a_set_that_no_line_has_is_a_fault(tmp_path: Path) -> None:
    file = written(tmp_path, clip(tmp_path))

    with pytest.raises(BadInput, match="no line is of the set 'yours'"):
        manifest.read(file, ["mine", "yours"])


def test_a_manifest_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        manifest.read(tmp_path / "nowhere.jsonl")


def test_paths_may_start_one_folder_up(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    entry = clip(tmp_path / "train")
    file = written(tmp_path / "train", {**entry, "path": "train/a.wav"})

    assert manifest.read(file)[0].file == tmp_path / "train" / "a.wav"


def test_what_is_held_back_is_always_the_same_and_about_the_wanted_share() -> None:
    clips = [Clip(Path(), str(n), "so", f"text {n % 100}", f"s{n % 50}", 1.0) for n in range(2000)]

    held = [c for c in clips if manifest.held_back(c, "speaker", 0.2)]

    assert held == [c for c in clips if manifest.held_back(c, "speaker", 0.2)]
    assert 0.05 < len(held) / len(clips) < 0.4
    speakers = {c.speaker for c in held}
    assert all((c.speaker in speakers) == (c in held) for c in clips[:200])


def test_a_rate_below_what_the_features_need_is_refused(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "low.wav"), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(8000)
        target.writeframes(bytes(1600))

    with pytest.raises(sound.BadSound, match="its rate is 8000 Hz; 16000 Hz are needed"):
        sound.load(tmp_path / "low.wav")


def test_a_file_that_is_no_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("hello")

    with pytest.raises(sound.BadSound, match=r"a\.wav cannot be used"):
        sound.load(tmp_path / "a.wav")
