"""What is wrong is told before any hour is spent, all of it at once, and nothing is written."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")
pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")
pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'firstword[train]'")

import torch

from stages.asr.campp import article
from stages.asr.campp.training import checkpoint, corpus, room
from stages.asr.campp.training.checkpoint import BadCheckpoint
from stages.asr.campp.training.manifest import BadInput
from stages.asr.campp.training.room import Need
from stages.errors import UserError
from tests.stages.asr.campp.conftest import TINY
from tests.stages.asr.campp.training.commands import asr
from tests.stages.asr.campp.training.tones import chorus, lasting, lesson, songbook

pytestmark = pytest.mark.timeout(120)

WIDER = {"width": 48, "heads": 2, "hidden": 48, "channels": 4, "kernel": 7}
WIDER |= {"layers": [1, 1], "strides": [2, 1], "dropout": 0.0}  # type: ignore[dict-item]
SPOKEN = {**WIDER, "width": 32, "units": "phones"}


def changed(manifest: Path, line: int, **fields: Any) -> None:
    """Change fields of a line, or take away those that become None; lines count from 0."""
    lines = manifest.read_text().splitlines()
    entry = json.loads(lines[line]) | fields
    lines[line] = json.dumps({name: value for name, value in entry.items() if value is not None})
    manifest.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where a training was begun, beside its songs and its lesson."""
    folder = tmp_path_factory.mktemp("begun")
    songbook(folder / "songs", 12)
    lesson(folder, steps=2)
    asr("train", folder / "lesson.yaml", "--data", folder, "--work", folder / "work")
    (folder / "work" / "run").rename(folder / "run")
    shutil.rmtree(folder / "work")
    return folder


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    """Return a copy of the begun training's folder, its songs and its lesson beside it."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run"


@pytest.mark.parametrize("flags", [[], ["--check"]])
def test_every_fault_of_every_source_is_in_one_list(tmp_path: Path, flags: list[str]) -> None:
    songbook(tmp_path / "songs", 8)
    more = songbook(tmp_path / "more", 8, seed=2)
    (tmp_path / "songs" / "4.wav").write_bytes(b"hello")
    lasting(tmp_path / "songs" / "6.wav", 1.0, hertz=8000)
    lasting(tmp_path / "more" / "2.wav", 75.0)
    changed(more, 2, duration=None)
    changed(more, 3, duration="long")
    (tmp_path / "more" / "5.wav").unlink()
    found = chorus(tmp_path, prepared=False)
    found["sources"].append({"name": "more", "manifest": "{data}/more/manifest.jsonl"})
    lesson(tmp_path, **found)

    with pytest.raises(BadInput) as caught:
        asr("train", tmp_path / "lesson.yaml", "--data", tmp_path, "--work", tmp_path / "work",
            *flags)  # fmt: skip

    songs = f"{tmp_path}/songs/manifest.jsonl"
    first, *rest = caught.value.faults
    assert first.startswith(f"{songs}: line 5: 4.wav cannot be used: ")
    assert rest == [
        f"{songs}: line 7: 6.wav cannot be used: its rate is 8000 Hz; 16000 Hz are needed at least",
        f"{more}: line 3: 2.wav lasts 75 s, more than 60 s",
        f"{more}: line 4: 3.wav has a duration that is no number of seconds: 'long'",
        f"{more}: line 6: 5.wav is missing",
    ]
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("duration", ["long", [1], -1, 1e999, pytest.param(10**400, id="huge")])
def test_a_duration_is_a_number_of_seconds(tmp_path: Path, duration: object) -> None:
    songs = songbook(tmp_path / "songs", 8)
    changed(songs, 1, duration=duration)
    lesson(tmp_path)

    with pytest.raises(UserError, match=r"line 2: 1\.wav has a duration that is no number"):
        asr("train", tmp_path / "lesson.yaml", "--data", tmp_path, "--work", tmp_path / "work")


@pytest.mark.parametrize("flags", [[], ["--check"]])
def test_a_checkpoint_of_another_network_is_told_with_the_faults_of_the_data(
    run: Path, flags: list[str]
) -> None:
    folder = run.parent
    lesson(folder, network=WIDER)
    (folder / "songs" / "3.wav").unlink()

    with pytest.raises(BadInput) as caught:
        asr("train", folder / "lesson.yaml", "--data", folder, "--work", folder / "work",
            "--run", run, *flags)  # fmt: skip

    assert caught.value.faults == (
        f"{run}/last.pt: it is of another network: width 32 is not 48",
        f"{folder}/songs/manifest.jsonl: line 4: 3.wav is missing",
    )
    assert not (folder / "work").exists()


@pytest.mark.parametrize("way", ["dynamic", "static", "qat"])
@pytest.mark.parametrize(
    ("network", "fault"),
    [(WIDER, "width 32 is not 48"), (SPOKEN, "vocabulary 30 is not 41")],
)
def test_a_checkpoint_is_not_quantised_with_the_configuration_of_another_network(
    run: Path, way: str, network: dict[str, Any], fault: str
) -> None:
    folder = run.parent
    lesson(folder, network=network)

    with pytest.raises(BadCheckpoint, match=f"it is of another network: {fault}"):
        asr("quantize", run, folder / "int8.onnx", "--way", way, "--config",
            folder / "lesson.yaml", "--data", folder, "--work", folder / "work")  # fmt: skip
    assert not (folder / "work").exists()
    assert not (folder / "int8.onnx").exists()


def test_weights_that_do_not_fit_their_own_network_are_named(run: Path) -> None:
    folder = run.parent
    content = torch.load(run / "last.pt", weights_only=True)
    del content["weights"]["output.bias"]
    content["weights"]["norm.weight"] = torch.zeros(3)
    torch.save(content, run / "last.pt")
    fault = r"output\.bias is missing, norm\.weight has the shape \(3,\), not \(32,\)"

    with pytest.raises(BadCheckpoint, match=fault):
        asr("export", run / "last.pt", folder / "full.onnx")
    with pytest.raises(BadCheckpoint, match=fault):
        asr("quantize", run / "last.pt", folder / "int8.onnx", "--way", "dynamic")
    with pytest.raises(BadInput, match=fault):
        asr("train", folder / "lesson.yaml", "--data", folder, "--work", folder / "work",
            "--run", run, "--check")  # fmt: skip


def test_checkpoints_that_are_not_alike_have_no_mean(run: Path) -> None:
    network = checkpoint.restored(checkpoint.load(run / "last.pt"))
    checkpoint.save(run / "step-0000001.pt", network, 1)
    content = torch.load(run / "step-0000001.pt", weights_only=True)
    del content["weights"]["output.bias"]
    torch.save(content, run / "step-0000001.pt")

    with pytest.raises(BadCheckpoint, match=r"step-0000001\.pt cannot be used: it is of another"):
        asr("export", run, run.parent / "full.onnx")


def test_a_place_that_cannot_be_written_to_is_told_at_once(run: Path) -> None:
    for verb, place in (("export", run), ("quantize", run), ("words", None)):
        words = [verb, *([place] if place else []), run.parent / "nowhere" / "out.onnx"]
        flags = ["--way", "dynamic"] if verb == "quantize" else []
        with pytest.raises(UserError, match=r"out\.onnx cannot be written: there is no folder"):
            asr(*words, *flags)


@pytest.mark.parametrize("flags", [[], ["--check"]])
def test_checkpoints_for_which_there_is_no_room_are_told_before_phones_are_looked_for(
    tmp_path: Path, flags: list[str]
) -> None:
    songbook(tmp_path / "songs", 8)
    keep = {"minutes": 60, "averaged": 10**9}
    lesson(tmp_path, **chorus(tmp_path, prepared=False), keep=keep)

    with pytest.raises(BadInput, match=r"GB of frames and \d+\.\d GB of checkpoints, and its disk"):
        asr("train", tmp_path / "lesson.yaml", "--data", tmp_path, "--work", tmp_path / "work",
            *flags)  # fmt: skip
    assert not (tmp_path / "work").exists()


def test_what_one_disk_shall_hold_is_added_up(tmp_path: Path) -> None:
    most = 0.6 * shutil.disk_usage(tmp_path).free
    frames = Need("frames", tmp_path, most)
    checkpoints = Need("checkpoints", tmp_path / "not" / "yet", most)

    assert room.faults([frames]) == room.faults([checkpoints]) == []
    assert len(room.faults([frames, checkpoints])) == 1


def test_room_is_asked_for_what_is_written_and_no_longer_for_what_is_there(tmp_path: Path) -> None:
    songbook(tmp_path / "songs", 12)
    config = lesson(tmp_path, steps=2)
    work, run = tmp_path / "work", tmp_path / "work" / "run"
    sources = corpus.clips_of(config, tmp_path, work)
    frames, checkpoints = corpus.bytes_of(config, sources, work), checkpoint.bytes_of(config, run)

    asr("train", tmp_path / "lesson.yaml", "--data", tmp_path, "--work", work)

    (rows,) = work.glob("frames/*/rows.f16")
    kept = sum(file.stat().st_size for file in run.glob("*.pt"))
    assert rows.stat().st_size < frames < 3 * rows.stat().st_size
    assert kept < checkpoints < 4 * kept
    assert corpus.bytes_of(config, sources, work) == 0
    assert checkpoint.bytes_of(config, run) == checkpoints - kept


def test_clips_that_cannot_be_counted_are_listed_before_a_model_hears_any(tmp_path: Path) -> None:
    lasting(tmp_path / "good.wav", 1.0)
    lasting(tmp_path / "low.wav", 1.0, hertz=8000)
    lines = [
        json.dumps({"path": "good.wav", "set": "mine", "text": "hello"}),
        json.dumps({"set": "mine", "text": "hello"}),
        json.dumps(["good.wav", "hello"]),
        json.dumps({"path": "gone.wav", "set": "mine", "text": "hello"}),
        json.dumps({"path": "low.wav", "set": "mine", "text": "hello"}),
        json.dumps({"path": "good.wav", "set": "mine", "text": "grüße 你好"}),
        json.dumps({"path": "good.wav", "set": "mine", "text": "5"}),
        json.dumps({"path": "gone.wav", "set": "mine", "text": None}),
        json.dumps({"path": "gone.wav", "set": "theirs", "text": "hello"}),
    ]
    (tmp_path / "dev").mkdir()
    file = tmp_path / "dev" / "manifest.jsonl"
    file.write_text("\n".join(lines) + "\n")

    with pytest.raises(BadInput) as caught:
        asr("evaluate", TINY, file, "--sets", "mine")

    assert caught.value.faults == (
        f"{file}: line 2 is no JSON object with the texts path and text",
        f"{file}: line 3 is no JSON object with the texts path and text",
        f"{file}: line 4: gone.wav is missing",
        f"{file}: line 5: low.wav cannot be used: its rate is 8000 Hz; 16000 Hz are needed at"
        " least",
        f"{file}: line 6: good.wav has characters that are no tokens: 'ß你好'",
        f"{file}: line 7: good.wav has characters that are no tokens: '5'",
    )
    parser = argparse.ArgumentParser()
    article.add(parser)
    with pytest.raises(BadInput, match=r"(?s)6 faults.*'ß你好'"):
        article.run(parser.parse_args(["--data", str(tmp_path), "--set", "mine"]))
