from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'firstword[train]'")

from stages.asr.campp.article import add, live, measure, report
from stages.asr.campp.article.command import Results
from tests.stages.asr.campp.conftest import TINY

pytestmark = pytest.mark.timeout(120)

WER = {"set": "dev", "clips": 3, "words": 20, "wrong": 5, "wer": 0.25, "wer_low": 0.1}
WER |= {"wer_high": 0.4, "repeated_characters": 2}


def results() -> Results:
    def row(**fields: Any) -> dict[str, Any]:
        return {**WER, **fields}

    speed = {"rtf": 0.01, "step_ms": 3.2}
    sizes = {"fp32": 18.7, "dynamic": 5.3, "static": 5.0, "qat": 5.0}
    ab = {"rtf": 0.01, "streams_a_core": 100.0, "state_mb_a_call": 0.5}
    return Results(
        date="2026-11-23 21:00 UTC",
        machine="a machine",
        onnxruntime="1.32",
        audio="dev: 3 utterances",
        ab=[
            row(which=which, batch=batch, process_mb=60.0, process_mb_a_call=60.0 / batch, **ab)
            for which, batch in (("before", 1), ("after", 16))
        ],
        quantisation_rows=[row(way=way, mb=mb, **speed) for way, mb in sizes.items()],
        chunks=[
            row(chunk=chunk, mean_latency_ms=10 * chunk, max_latency_ms=20 * chunk, rtf=0.01)
            for chunk in (8, 16, 32)
        ],
        rescoring=[
            row(how=how, weight=0.4, added_ms=added, added_p95_ms=added)
            for how, added in (("greedy", 0.0), ("small n-gram", 0.5))
        ],
        batching=[
            {
                "max_wait_ms": 20,
                "calls": calls,
                "answer_p50_ms": 5.0,
                "answer_p95_ms": 9.0,
                "step_p95_ms": 4.0,
                "batch_mean": 1.2,
                "cpu_cores": 0.1,
                "in_time": True,
            }
            for calls in (1, 2)
        ],
    )


def test_every_table_shows_the_claim_beside_our_figure_and_what_it_was_measured_on() -> None:
    out = Console(record=True, width=200, highlight=False)

    report.show(results(), out)

    shown = out.export_text()
    assert "360 MB, WER 5.1 %" in shown
    assert "25.0 % (10.0 to 40.0), 5 of 20 words, 3 utterances" in shown
    assert "Measured 2026-11-23 21:00 UTC on a machine" in shown
    assert shown.count("\n") > 25


def test_the_page_holds_its_tables_and_pictures_and_needs_nothing_else(tmp_path: Path) -> None:
    report.write(results(), tmp_path / "article.html")

    page = (tmp_path / "article.html").read_text()
    assert page.count("<table>") == 5
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page


def test_programs_find_sizes_and_errors_of_the_four_ways() -> None:
    found = json.loads(json.dumps(results().as_dict()))

    assert found["quantisation"] == {
        "fp32_mb": 18.7,
        "int8_mb": 5.0,
        "fp32_wer": 0.25,
        "dynamic_wer": 0.25,
        "static_wer": 0.25,
        "qat_wer": 0.25,
    }


def test_calls_grow_in_real_time_until_there_are_enough() -> None:
    rows = live.grow(TINY, seconds=1.0, most=2)

    assert [(row.max_wait_ms, row.calls) for row in rows if row.in_time][:2] == [(0, 1), (0, 2)]
    assert {row.max_wait_ms for row in rows} == set(live.WAITS_MS)


def test_a_model_is_measured_in_a_process_of_its_own() -> None:
    found = measure.speed(TINY, 2, seconds=0.1)

    assert found.rtf > 0
    assert found.state_mb > 0


def test_all_arguments_have_defaults() -> None:
    parser = argparse.ArgumentParser()
    add(parser)

    assert parser.parse_args([]).set == "en_assistant"
