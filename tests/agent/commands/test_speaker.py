"""``firstword speaker`` in a process of its own, as a user runs it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from stages.models import ModelStore
from tests.agent.commands.running import Run, firstword
from tests.agent.voices import wav

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return partial(firstword, tmp_path / "state", "speaker")


def recorded(file: Path, hertz: float, seconds: float = 5.0) -> Path:
    file.write_bytes(wav(hertz, seconds))
    return file


def test_a_voice_is_enrolled_listed_and_forgotten(run: Run, tmp_path: Path) -> None:
    made = run("enrol", "--engine", "spectrum", "Anna", recorded(tmp_path / "a.wav", 200))
    assert made.returncode == 0, made.stderr
    assert "Anna is known now, by 5 s of speech" in made.stdout
    assert "Anna" in run("list").stdout
    assert run("forget", "Anna").returncode == 0
    assert "Nobody is known" in run("list").stdout
    again = run("forget", "Anna")
    assert (again.returncode, again.stderr) == (2, "firstword: Nobody called 'Anna' is known.\n")


def test_recordings_that_cannot_be_are_sentences(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    for file, sentence in (
        (tmp_path / "none.wav", "There is no file"),
        (tmp_path / "text.wav", "is no recording that can be read (Invalid data found when"),
        (recorded(tmp_path / "short.wav", 200, 0.5), "short.wav has 0.5 s of speech"),
    ):
        done = run("enrol", "--engine", "spectrum", "Anna", file)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_trials_give_rates_a_threshold_and_a_picture(run: Run, tmp_path: Path) -> None:
    for name, hertz in (("a1", 200), ("a2", 205), ("b1", 900), ("b2", 905)):
        recorded(tmp_path / f"{name}.wav", hertz)
    pairs = [("a1", "a2", 1), ("b1", "b2", 1), ("a1", "b1", 0), ("a2", "b2", 0)]
    trials = tmp_path / "trials.jsonl"
    trials.write_text(
        "\n".join(json.dumps({"a": f"{a}.wav", "b": f"{b}.wav", "same": s}) for a, b, s in pairs)
    )
    drawn = tmp_path / "picture.svg"
    done = run("calibrate", "--engine", "spectrum", trials, "--json", "--picture", drawn)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["same"], figures["other"], figures["eer"]) == (2, 2, 0.0)
    assert 0.0 < figures["threshold"] < 1.0
    assert drawn.read_text().startswith("<svg")
    assert "equal error rate 0.0%" in run("calibrate", "--engine", "spectrum", trials).stdout


def test_trials_that_are_none_are_named_with_their_line(run: Run, tmp_path: Path) -> None:
    trials = tmp_path / "trials.jsonl"
    trials.write_text('{"a": "x.wav"}\n')
    done = run("calibrate", "--engine", "spectrum", trials)
    assert done.returncode == 2
    assert "trials.jsonl:1: a trial is like" in done.stderr
    trials.write_bytes(b"RIFF\x80")
    done = run("calibrate", "--engine", "spectrum", trials)
    assert (done.returncode, done.stderr) == (2, f"firstword: {trials} is not UTF-8 text.\n")


def test_figures_are_told_though_their_picture_cannot_be_kept(run: Run, tmp_path: Path) -> None:
    low, high = recorded(tmp_path / "low.wav", 200), recorded(tmp_path / "high.wav", 2000)
    pairs = [(low, low, 1), (low, high, 0)]
    lines = [json.dumps({"a": str(a), "b": str(b), "same": same}) for a, b, same in pairs]
    trials = tmp_path / "trials.jsonl"
    trials.write_text("\n".join(lines))
    done = run("calibrate", "--engine", "spectrum", trials, "--picture", tmp_path)
    assert "equal error rate" in done.stdout
    assert (done.returncode, done.stderr) == (2, f"firstword: {tmp_path}: Is a directory.\n")


def test_a_name_that_cannot_be_is_told_before_a_recording_is_heard(run: Run) -> None:
    done = run("enrol", "--engine", "spectrum", "Anna/Bo", "none.wav")
    assert done.returncode == 2
    assert done.stderr.startswith("firstword: 'Anna/Bo' cannot be a name: ")


@pytest.mark.model
def test_the_development_trials_are_told_apart(run: Run, store: ModelStore, speech: Path) -> None:
    trials = speech / "dev" / "sv" / "trials_all_pairs.jsonl"
    figures = json.loads(run("calibrate", "--engine", "voicefilter", trials, "--json").stdout)
    assert (figures["same"], figures["other"]) == (12, 108)
    assert figures["eer"] < 0.02
    assert figures["far"] < 0.03
    assert figures["frr"] < 0.10


def test_a_conversion_without_funasr_says_what_to_install(run: Run, tmp_path: Path) -> None:
    done = run("convert", tmp_path / "nothing", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "there is no folder" in done.stderr
