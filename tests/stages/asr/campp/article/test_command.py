"""The command itself: what it refuses before it works, and a whole run in small."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")

from agent.__main__ import run
from stages.asr.campp.article import forge, live, measure, rescoring
from stages.asr.campp.article.command import Results
from stages.asr.campp.training import checkpoint
from stages.asr.campp.training.network import Network
from stages.errors import UserError
from tests.stages.asr.campp.conftest import TINY

INTERVALS = {
    "ab": ("wer_low", "wer_high"),
    "quantisation_rows": ("wer_low", "wer_high"),
    "chunks": ("wer_low", "wer_high", "repeated_low", "repeated_high"),
    "rescoring": ("wer_low", "wer_high", "gained_low", "gained_high"),
}

KEYS = {
    "ab": {
        "which", "batch", "rtf_network", "rtf_to_words", "streams_a_core_network",
        "streams_a_core_to_words", "state_mb_a_call", "process_mb", "process_mb_a_call",
        "process_to_words_mb",
    },
    "quantisation_rows": {
        "way", "mb", "of_fp32", "rtf_network", "rtf_to_words", "step_ms", "step_p95_ms",
    },
    "chunks": {
        "chunk", "mean_latency_ms", "max_latency_ms", "rtf_network", "rtf_to_words", "repeated",
        "repeated_count", "repeated_of", "repeated_share", "repeated_clips",
    },
    "rescoring": {"how", "weight", "gained", "at_endpoint_ms", "added_ms", "added_p95_ms"},
    "batching": {
        "part", "max_wait_ms", "calls", "answer_p50_ms", "answer_p95_ms", "step_p95_ms",
        "batch_mean", "cpu_cores", "in_time", "packets",
    },
}  # fmt: skip

WER = {"set", "clips", "words", "wrong", "wer"}


def said(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    return " ".join((shown.out + shown.err).split())


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["bench", "article", *arguments]) != 0
    return said(capsys)


@pytest.mark.timeout(240)  # a minute alone
def test_the_whole_command_in_small(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "article.html"

    ended = run(
        [
            "bench", "article", "--json", "--html", str(page), "--data", str(speech), "--limit",
            "2", "--calibration", "2", "--second", "scripted", "--seconds", "0.3", "--calls", "1",
        ]
    )  # fmt: skip

    assert ended == 0
    found = json.loads(capsys.readouterr().out)
    complete(found)
    consistent(found)
    text = page.read_text()
    assert text.count("<table>") == 5
    assert text.count("data:image/png;base64,") == 3
    for table in KEYS:
        assert text.count(found[table][0]["measured_on"].split(";")[0]) >= len(found[table])


def complete(found: dict[str, object]) -> None:
    """Check that every row has its figures, and says what it was measured on."""
    for table, keys in KEYS.items():
        rows = found[table]
        assert isinstance(rows, list)
        assert rows
        for row in rows:
            wanted = keys | {"measured_on", *INTERVALS.get(table, ())}
            wanted |= WER if table in INTERVALS else set()
            assert wanted <= set(row), (table, wanted - set(row))
            assert "dev en_assistant, 2 utterances" in row["measured_on"]
            for low, high in zip(*[iter(INTERVALS.get(table, ()))] * 2, strict=True):
                rate = "wer" if low == "wer_low" else low.removesuffix("_low")
                rate = "repeated_share" if rate == "repeated" else rate
                assert row[low] <= row[rate] + 1e-9 <= row[high] + 2e-9
            if table in INTERVALS:
                assert row["clips"] == 2
    assert {"date", "machine", "onnxruntime", "audio", "notes", "claims"} <= set(found)
    assert set(found["quantisation"]) == {  # type: ignore[call-overload]
        "fp32_mb", "int8_mb", "fp32_wer", "dynamic_wer", "static_wer", "qat_wer",
    }  # fmt: skip


def consistent(found: dict[str, list[dict[str, object]]]) -> None:
    """Check that tables that name the same file agree, and what must be so however it hears."""
    before, after = found["ab"]
    full, dynamic, _, qat = found["quantisation_rows"]
    middle = found["chunks"][1]
    for name in ("wer", "rtf_network", "rtf_to_words", "measured_on"):
        assert before[name] == full[name] == middle[name]
    assert (before["batch"], after["batch"]) == (1, measure.BATCH)
    for row in (qat, dynamic):
        assert float(str(row["of_fp32"])) <= 0.28
    for row in found["ab"]:
        assert float(str(row["rtf_network"])) < float(str(row["rtf_to_words"]))
    base, *others = found["rescoring"]
    assert (base["how"], base["weight"], base["gained"], base["added_ms"]) == (
        "no language model", 0.0, 0.0, 0.0,
    )  # fmt: skip
    hows = {str(row["how"]) for row in others}
    for size in ("small", "large"):
        how = f"{size} n-gram, {rescoring.SPEAKING}"
        weights = [row["weight"] for row in others if row["how"] == how]
        assert weights == list(rescoring.WEIGHTS)
    assert "second pass (scripted)" in hows
    assert [row["part"] for row in found["batching"]] == ["network"] * 3 + ["to words"] * 3
    assert [row["max_wait_ms"] for row in found["batching"]] == list(live.WAITS_MS) * 2


def test_a_page_that_cannot_be_written_is_told_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = str(tmp_path / "no" / "article.html")

    assert "there is no folder" in refused(capsys, "--html", nowhere, "--second", "none")
    assert "it is a folder" in refused(capsys, "--html", str(tmp_path), "--second", "none")


def test_a_second_pass_that_nobody_provides_is_told_before_any_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "nobody" in refused(capsys, "--second", "nobody")


def test_weights_and_an_int8_file_of_two_networks_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = checkpoint.load(forge.shipped("en-small.pt"))
    narrow = shipped.geometry.model_copy(update={"width": 96, "vocabulary": 30})
    checkpoint.save(tmp_path / "narrow.pt", Network(narrow, shipped.shape), 1)

    shown = refused(
        capsys, "--second", "none",
        "--checkpoint", str(tmp_path / "narrow.pt"), "--qat", str(forge.shipped("en-small.onnx")),
    )  # fmt: skip

    assert "--checkpoint and --qat together cannot be used: 2 faults" in shown
    assert "width: 96 in narrow.pt, 192 in en-small.onnx" in shown
    assert "vocabulary: 30 in narrow.pt, 41 in en-small.onnx" in shown
    alone = refused(capsys, "--second", "none", "--qat", str(TINY))
    assert "--checkpoint and --qat go together" in alone


def test_limits_that_leave_nothing_to_measure_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "--calls" in refused(capsys, "--calls", "0")
    assert "--seconds" in refused(capsys, "--seconds", "0")


def test_what_only_a_checkout_has_is_told_with_the_command_for_it() -> None:
    with pytest.raises(UserError, match=r"in a checkout only.*pip install -e '\.\[train"):
        forge.shipped("nothing.pt")


def test_results_without_rows_have_no_figures() -> None:
    empty = Results("today", "a machine", "1.32", "no audio")

    assert empty.quantisation == {}
    assert "today" in empty.as_dict()["notes"][0]
