"""A disk that takes no more costs minutes at most: what is whole stays, what is torn is cut off."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")
pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")
pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'firstword[train]'")

from stages.asr.campp.training import align, checkpoint, corpus, manifest, tails
from stages.asr.campp.training.checkpoint import NotKept
from stages.asr.campp.training.tails import NotWritten
from stages.asr.campp.training.trainer import train
from tests.stages.asr.campp.training.tones import chorus, lesson, silent, songbook
from tests.stages.full_disk import only_so_many_bytes_a_file

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    songbook(tmp_path / "songs", 12)
    return tmp_path


def learned(folder: Path, steps: int, told: list[str]) -> None:
    config = lesson(folder, steps=steps)
    heard = corpus.prepare(config, folder, folder / "work", silent)
    train(config, heard, folder / "run", told.append)


def entries(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize(
    ("content", "lines", "left"),
    [
        (b"", 0, b""),
        (b"one\ntwo\n", 2, b"one\ntwo\n"),
        (b"one\nt", 1, b"one\n"),
        (b"on", 0, b""),
        (b"one\n\xc3", 1, b"one\n"),
    ],
)
def test_a_torn_last_line_is_cut_off_and_not_counted(
    tmp_path: Path, content: bytes, lines: int, left: bytes
) -> None:
    file = tmp_path / "lines"
    file.write_bytes(content)

    assert tails.whole_lines(file) == lines
    assert file.read_bytes() == left
    assert tails.whole_lines(tmp_path / "nowhere") == 0


def test_frames_that_find_no_room_leave_nothing_half_made(songs: Path) -> None:
    with (
        only_so_many_bytes_a_file(10_000),
        pytest.raises(NotWritten, match=r"frames/tones-\w+\.part could not be written .*Make room"),
    ):
        corpus.prepare(lesson(songs), songs, songs / "work", silent)
    assert list((songs / "work" / "frames").iterdir()) == []

    assert corpus.prepare(lesson(songs), songs, songs / "work", silent).items


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before_it(songs: Path) -> None:
    learned(songs, 2, [])
    before = (songs / "run" / "last.pt").read_bytes()

    with (
        only_so_many_bytes_a_file(len(before) // 2),
        pytest.raises(NotKept, match=r"last\.pt could not be written .*before it is whole"),
    ):
        learned(songs, 4, [])
    assert (songs / "run" / "last.pt").read_bytes() == before
    assert list((songs / "run").glob("*.part")) == []

    learned(songs, 4, [])
    assert checkpoint.load(songs / "run" / "last.pt").step == 4


def test_a_log_and_a_picture_that_find_no_room_cost_no_step(songs: Path) -> None:
    learned(songs, 2, [])
    log, told = songs / "run" / "log.jsonl", list[str]()
    most = 4 * (songs / "run" / "last.pt").stat().st_size
    log.write_text(log.read_text() * (most // log.stat().st_size))  # as after days of training
    before = log.read_bytes()
    (songs / "run" / "curve.png").unlink()
    (songs / "run" / "curve.png.part").mkdir()  # what cannot be written to

    with only_so_many_bytes_a_file(len(before) + 20):
        learned(songs, 4, told)

    assert checkpoint.load(songs / "run" / "last.pt").step == 4
    assert any("log.jsonl could not be written" in line for line in told)
    assert any("curve.png could not be drawn" in line for line in told)
    assert log.read_bytes().startswith(before)

    (songs / "run" / "curve.png.part").rmdir()
    learned(songs, 6, told)
    assert entries(log)[-1]["step"] == 6
    assert (songs / "run" / "curve.png").exists()


def test_a_log_that_a_kill_has_torn_goes_on_with_a_whole_line(songs: Path) -> None:
    learned(songs, 2, [])
    log = songs / "run" / "log.jsonl"
    whole = entries(log)
    with log.open("a") as target:
        target.write('{"step": 3, "lo')

    learned(songs, 4, [])

    assert entries(log)[: len(whole)] == whole
    assert [entry["step"] for entry in entries(log)[len(whole) :]] == [4, 4]


def test_phones_that_found_no_room_are_looked_for_again(songs: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="needs PocketSphinx: pip install 'firstword[train]'")
    chorus(songs)
    (file,) = (songs / "work" / "alignments").iterdir()
    lines = file.read_text().splitlines(keepends=True)
    begun = file.with_suffix(".part")
    begun.write_text("".join(lines[:10]))
    file.unlink()
    clips, told = manifest.read(songs / "songs" / "manifest.jsonl"), list[str]()

    with (
        only_so_many_bytes_a_file(begun.stat().st_size + 5),
        pytest.raises(NotWritten, match=r"alignments/tones-\w+\.part could not be written"),
    ):
        align.of_clips("tones", clips, songs / "work", told.append)
    assert not begun.read_text().endswith("\n")
    found = align.of_clips("tones", clips, songs / "work", told.append)

    assert told[:2] == ["tones: phones of 2 clips"] * 2
    assert set(found) >= {f"{number}.wav" for number in range(10)}
    assert [json.loads(line)[0] for line in file.read_text().splitlines()] == [
        f"{number}.wav" for number in range(12)
    ]
