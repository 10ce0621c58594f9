"""``firstword asr`` and ``firstword bench asr``, from their arguments to what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.__main__ import run
from stages.asr.campp.bench import (
    Figures,
    Ratio,
    at_equal_streams,
    best_of_both,
    ratio_vs_sherpa,
)
from stages.asr.campp.graph import open_graph
from tests.stages.asr.campp.conftest import TINY


def test_show_tells_what_a_model_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["asr", "show", str(TINY)]) == 0
    told = capsys.readouterr().out
    assert "tiny (float32), 60 tokens, packets of 320 ms in 4 frames, strides 1,2,2" in told


def test_a_file_that_is_no_model_is_exit_code_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["asr", "show", str(tmp_path / "none.onnx")]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_new_makes_a_model_that_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
    pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")
    file, peer = tmp_path / "new.onnx", tmp_path / "peer"
    arguments = ["asr", "new", str(file), "--size", "tiny", "--vocabulary", "40", "--int8"]
    assert run([*arguments, "--strides", "1,1,1", "--peer", str(peer)]) == 0
    geometry = open_graph(file).geometry
    assert (geometry.weights, geometry.strides, geometry.vocabulary) == ("int8", (1, 1, 1), 40)
    assert (peer / "model.onnx").is_file()
    assert (peer / "tokens.txt").read_text().startswith("<blk> 0\n<unk> 1\n")
    capsys.readouterr()
    assert run([*arguments, "--chunk", "10"]) == 2
    assert "a chunk of 10 frames cannot be divided by the strides" in capsys.readouterr().err


def test_bench_measures_a_model_file(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "asr", "--model", str(TINY), "--seconds", "0.05", "--json"]
    assert run([*arguments, "--batches", "1,3", "--threads", "1"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["batch"] for row in report["rows"]] == [1, 3]
    for row in report["rows"]:
        assert row["bytes_a_call"] == open_graph(TINY).geometry.state_bytes
        assert 0 < row["step_best"] <= row["step_p50"] <= row["step_p95"]
        assert row["rtf"] == pytest.approx(row["step_best"] / 320 / row["batch"], rel=0.02)


def test_figures_that_are_none_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "asr", "--model", str(TINY), "--batches", "1,x"]) == 2
    assert "'1,x' is no list of numbers" in capsys.readouterr().err


def test_the_ratio_compares_equal_weights_and_the_one_figure_is_the_least_flattering() -> None:
    def row(engine: str, strides: str, batch: int, streams: float, threads: int = 1) -> Figures:
        figures = (threads, batch, 0.1, streams, 1.0, 1.0, 1.0, 0, 1.0)
        return Figures(engine, "base", "int8", strides, *figures)

    rows = [
        row("firstword", "1,1,1", 1, 10.0),
        row("firstword", "1,1,1", 16, 30.0),
        row("firstword", "1,2,2", 16, 99.0),
        row("sherpa-onnx", "1,1,1", 1, 15.0),
        row("sherpa-onnx", "1,1,1", 16, 12.0),
        row("firstword", "1,1,1", 4, 18.0, threads=2),
        row("sherpa-onnx", "1,1,1", 16, 10.0, threads=2),
        row("firstword", "1,1,1", 16, 17.0, threads=4),  # nobody beside it
    ]
    assert best_of_both(rows) == [
        Ratio("base", "int8", 1, 16, 1, 2.0),
        Ratio("base", "int8", 2, 4, 16, 1.8),
    ]
    assert at_equal_streams(rows) == [Ratio("base", "int8", 1, 16, 16, 2.5)]
    assert ratio_vs_sherpa(rows) == 1.8
    assert ratio_vs_sherpa(rows[:3]) is None
