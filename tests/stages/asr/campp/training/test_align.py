from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")

from stages.asr.campp.training import align, augment, corpus, manifest, sound
from stages.asr.campp.training.align import Aligner, NoAligner, Shift
from stages.asr.campp.training.augment import Augment
from stages.asr.campp.training.manifest import BadInput
from stages.asr.campp.training.pronounce import Lexicon
from stages.asr.campp.training.text import PHONES
from tests.stages.asr.campp.training.tones import chorus, lesson, silent, songbook

A, B = PHONES.index("AA"), PHONES.index("B")


def test_phones_with_their_places_become_a_mark_a_hundredth_of_a_second() -> None:
    marks = align.spread([("SIL", 0, 2), ("AA", 2, 3), ("+NSN+", 5, 1), ("B", 6, 9)], 8)

    assert marks.tolist() == [0, 0, A, A, A, 0, B, B]


def test_marks_before_the_clip_are_cut_off() -> None:
    assert align.spread([("AA", 0, 4), ("B", 4, 2)], 4, early=3).tolist() == [A, B, B, 0]


def test_frames_of_a_copy_get_the_phones_of_where_they_lie_in_the_clip() -> None:
    marks = align.spread([("AA", 0, 40), ("B", 40, 40)], 80)

    plain = align.frames_of(marks, Shift(), 22, 0.04, 0.0)
    assert plain.tolist() == [A] * 10 + [B] * 10 + [0] * 2

    late = align.frames_of(marks, Shift(), 22, 0.04, 0.08)
    assert late.tolist() == [0] * 2 + [A] * 10 + [B] * 10

    slow = align.frames_of(marks, Shift(speed=0.5, before=0.4), 50, 0.04, 0.0)
    assert slow.tolist() == [0] * 10 + [A] * 20 + [B] * 20


def test_a_copy_s_shift_is_the_one_its_sound_was_given() -> None:
    click = np.zeros(16_000, np.float32)
    click[8000] = 1.0
    how = Augment(roomy=0, narrow=0, noisy=0, hiss=0, silence=0.5)
    for seed in range(5):
        heard = augment.changed(click, how, np.random.default_rng(seed))
        speed, before, _ = augment.shift(how, np.random.default_rng(seed))
        assert abs(int(np.abs(heard).argmax()) - (8000 / speed + before)) < 3


def test_a_package_that_is_missing_is_named_with_the_way_out() -> None:
    with pytest.raises(NoAligner, match=r"pip install 'firstword\[train\]', or set 'aligned: fal"):
        Aligner("no_such_package")


def test_phones_that_were_found_before_are_read_and_reach_every_copy(tmp_path: Path) -> None:
    songbook(tmp_path / "songs", 6)
    config = lesson(tmp_path, **chorus(tmp_path))
    made = corpus.prepare(config, tmp_path, tmp_path / "work", silent)

    for item in made.items:
        frames = made.phones(item, item.frames // 4, 0.04, 0.04)
        assert set(frames.tolist()) > {0}
        assert (item.shift == Shift()) == item.held
    unknown = corpus.Item(0, 4, (3,), "tones", "no such clip", held=False)
    assert made.phones(unknown, 2, 0.04, 0.0).tolist() == [align.UNKNOWN] * 2


@pytest.mark.parametrize("line", ["no JSON", '["0.wav", [[99, 5]]]', '["0.wav", [[-2, 5]]]', "[1]"])
def test_a_broken_file_of_phones_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    songbook(tmp_path / "songs", 6)
    changed = chorus(tmp_path)
    (file,) = (tmp_path / "work" / "alignments").iterdir()
    file.write_text(file.read_text() + line + "\n")

    with pytest.raises(BadInput, match=r"alignments/tones-\w+\.jsonl cannot be used.*\n.*line 7"):
        corpus.prepare(lesson(tmp_path, **changed), tmp_path, tmp_path / "work", silent)


@pytest.mark.parametrize("changed", [{"phones": 1.0}, {"aligned": True}])
def test_phones_that_nobody_learns_or_nobody_finds_are_refused(
    tmp_path: Path, changed: dict[str, float | bool]
) -> None:
    whole = chorus(tmp_path, prepared=False)
    whole["schedule"]["phones"] = changed.get("phones", 0.0)
    whole["sources"][0]["aligned"] = changed.get("aligned", False)

    with pytest.raises(BadInput, match=r"steps\.phones above 0 and 'aligned: true'"):
        lesson(tmp_path, **whole)


def test_pocketsphinx_finds_the_phones_of_words_that_were_said(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="needs PocketSphinx: pip install 'firstword[train]'")
    from stages.asr.campp.training import synthetic

    said = synthetic.speak(lambda _: "green tea", {"hibari": 1.0}, 2, 7, tmp_path / "said")
    clips = manifest.read(said)

    found = align.of_clips("said", clips, tmp_path / "work", silent)
    for clip in clips:
        marks = found[clip.key]
        phones = [PHONES[a] for a, b in zip(marks, [*marks[1:], -1], strict=True) if a != b]
        assert [p for p in phones if p != "SIL"] == ["G", "R", "IY", "N", "T", "IY"]
        assert len(marks) == len(sound.load(clip.file)) // 160

    aligner = Aligner()
    assert aligner.marks(sound.load(clips[0].file), "green xyzzyplugh") is None
    assert aligner.marks(np.zeros(1600, np.float32), "green tea for all of you") is None


def test_words_that_the_dictionary_lacks_are_found_as_the_lexicon_says_them(tmp_path: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="needs PocketSphinx: pip install 'firstword[train]'")
    from stages.asr.campp.training import synthetic

    said = synthetic.speak(lambda _: "green tea", {"hibari": 1.0}, 1, 7, tmp_path / "said")
    (clip,) = manifest.read(said)
    aligner = Aligner(lexicon=Lexicon({"xyzzytea": [("T", "IY")]}, guess=False))

    known = aligner.marks(sound.load(clip.file), "green tea")
    guessed = aligner.marks(sound.load(clip.file), "green xyzzytea")

    assert known is not None
    assert guessed is not None
    assert guessed.tolist() == known.tolist()
    assert aligner.marks(sound.load(clip.file), "green plughtea") is None


def test_clips_whose_phones_were_found_are_not_heard_again(tmp_path: Path) -> None:
    songbook(tmp_path / "songs", 6)
    chorus(tmp_path)
    (file,) = (tmp_path / "work" / "alignments").iterdir()
    told: list[str] = []

    lines = file.read_text().splitlines()
    begun = [*lines[:-1], json.dumps(["5.wav", None])]
    file.with_suffix(".part").write_text("\n".join(begun) + "\n")
    file.unlink()
    clips = manifest.read(tmp_path / "songs" / "manifest.jsonl")
    pytest.importorskip("pocketsphinx", reason="needs PocketSphinx: pip install 'firstword[train]'")
    found = align.of_clips("tones", clips, tmp_path / "work", told.append)

    assert set(found) == {f"{number}.wav" for number in range(5)}
    assert told[-1] == "tones: 1 of 6 clips have no phones: unknown words, or other sound"
