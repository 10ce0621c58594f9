"""The whole chain through the commands: train, export, quantise in all ways, words, decode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")
pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")
pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'firstword[train]'")

from stages.asr.campp.graph import open_graph
from tests.stages.asr.campp.training.commands import asr
from tests.stages.asr.campp.training.tones import chorus, lesson, songbook

pytestmark = pytest.mark.timeout(300)

WAYS = ("dynamic", "static", "qat")


def losses(run: Path) -> list[float]:
    entries = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [entry["loss"] for entry in entries if "loss" in entry]


def quantised(folder: Path, place: list[object], ways: tuple[str, ...] = WAYS) -> list[Path]:
    files = []
    for way in ways:
        files.append(folder / f"{way}.onnx")
        flags = [] if way == "dynamic" else ["--config", folder / "lesson.yaml", *place]
        flags += ["--steps", 20] if way == "qat" else []
        asr("quantize", folder / "work" / "run", files[-1], "--way", way, *flags)
    return files


def test_from_sound_and_texts_to_quantised_models_that_understand_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs = songbook(tmp_path / "songs", 160)
    learned = chorus(tmp_path)
    learned["schedule"] |= {"seconds": 10, "peak": 6e-3}  # small steps, and bold ones
    lesson(tmp_path, steps=300, **learned)
    place = ["--data", tmp_path, "--work", tmp_path / "work"]
    config, run, full = tmp_path / "lesson.yaml", tmp_path / "work" / "run", tmp_path / "full.onnx"
    texts = [json.loads(line)["text"] for line in songs.read_text().splitlines()]
    (tmp_path / "sung.txt").write_text("\n".join(texts))

    asr("train", config, *place)
    asr("export", run, full)
    small = quantised(tmp_path, place)
    asr("words", tmp_path / "sung.lm", "--texts", tmp_path / "sung.txt", "--sentences", 0)

    def heard(model: Path, *flags: object) -> dict[str, Any]:
        capsys.readouterr()
        asr("evaluate", model, "--config", config, *place, "--json", *flags)
        found: dict[str, Any] = json.loads(capsys.readouterr().out)["sets"][0]
        return found

    assert losses(run)[-1] < 0.2 * losses(run)[0]
    assert (run / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert [open_graph(file).geometry.weights for file in small] == ["int8"] * 3
    for model in (full, *small):
        found = heard(model)
        assert found["set"] == "tones, held back"
        assert found["clips"] >= 10
        assert found["wer"] <= 0.3, model.name
    greedy, helped = heard(full), heard(full, "--beam", 4, "--lm", tmp_path / "sung.lm")
    assert helped["wrong"] <= greedy["wrong"]


def test_a_few_real_clips_become_a_model_of_phones_with_its_words(
    tmp_path: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pocketsphinx", reason="needs PocketSphinx: pip install 'firstword[train]'")
    lines = (speech / "train" / "manifest.jsonl").read_text().splitlines()
    clips = [entry for entry in map(json.loads, lines) if entry["set"] == "s2i"][:16]
    texts = [clip["text"] for clip in clips]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    real = [json.dumps({**clip, "path": str(speech / clip["path"])}) for clip in clips]
    (tmp_path / "manifest.jsonl").write_text("\n".join(real) + "\n")
    found = chorus(tmp_path, prepared=False)
    found["sources"][0] |= {"manifest": "{data}/manifest.jsonl", "hold_share": 0.3}
    network = lesson(tmp_path).network.model_dump(mode="json") | {"units": "phones"}
    lesson(tmp_path, steps=50, network=network, **found)
    place = ["--data", tmp_path, "--work", tmp_path / "work"]
    run = tmp_path / "work" / "run"

    asr("train", tmp_path / "lesson.yaml", *place)
    (model,) = quantised(tmp_path, place, ("qat",))
    words = ["--texts", tmp_path / "texts.txt", "--sentences", 0, "--phones"]
    asr("words", model.with_suffix(".lm"), *words)
    capsys.readouterr()
    asr("evaluate", model, "--config", tmp_path / "lesson.yaml", *place, "--json")
    heard = json.loads(capsys.readouterr().out)["sets"][0]

    assert losses(run)[-1] < 0.8 * losses(run)[0]
    assert heard["clips"] >= 3
    assert heard["words"] > 0
    assert 0 <= heard["wer"] <= 1.5  # 50 steps teach it little; that it decodes is the point
