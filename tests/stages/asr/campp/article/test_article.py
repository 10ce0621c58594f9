from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'firstword[train]'")

from stages.asr.campp.article import add, hearing, live, measure, report
from stages.asr.campp.article.command import Results
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training import evaluate, manifest
from tests.stages.asr.campp.conftest import TINY, noise
from tests.stages.asr.campp.training.tones import songbook

pytestmark = pytest.mark.timeout(120)

WER = {"set": "dev", "clips": 3, "words": 20, "wrong": 5, "wer": 0.25, "wer_low": 0.1}
WER |= {"wer_high": 0.4, "measured_on": "dev, 3 utterances, 40 packets"}

SPEED = {"rtf_network": 0.01, "rtf_to_words": 0.04, "step_ms": 3.2, "step_p95_ms": 5.0}


def results() -> Results:
    def row(**fields: Any) -> dict[str, Any]:
        return {**WER, **SPEED, **fields}

    sizes = {"fp32": 18.7, "dynamic": 5.3, "static": 5.0, "qat": 5.0}
    ab = {"streams_a_core_network": 100.0, "streams_a_core_to_words": 25.0, "state_mb_a_call": 0.5}
    ab |= {"process_mb": 60.0, "process_to_words_mb": 200.0}
    twice = {"repeated": "phones", "repeated_count": 3, "repeated_of": 90, "repeated_share": 0.033}
    twice |= {"repeated_low": 0.01, "repeated_high": 0.06, "repeated_clips": 3}
    gained = {"gained": 0.1, "gained_low": 0.02, "gained_high": 0.2}
    return Results(
        date="2026-11-23 21:00 UTC",
        machine="a machine",
        onnxruntime="1.32",
        audio="dev: 3 utterances",
        ab=[
            row(which=which, batch=batch, process_mb_a_call=60.0 / batch, **ab)
            for which, batch in (("before", 1), ("after", 16))
        ],
        quantisation_rows=[row(way=way, mb=mb, of_fp32=mb / 18.7) for way, mb in sizes.items()],
        chunks=[
            row(chunk=chunk, mean_latency_ms=10 * chunk, max_latency_ms=20 * chunk, **twice)
            for chunk in (8, 16, 32)
        ],
        rescoring=[
            row(how=how, weight=weight, added_ms=added, added_p95_ms=added, **gained)
            for how, weight, added in (
                ("no language model", 0.0, 0.0),
                ("small n-gram", 0.3, -0.2),
                ("small n-gram", 0.6, 0.5),
            )
        ],
        batching=[
            {
                "part": part,
                "max_wait_ms": 20,
                "calls": calls,
                "answer_p50_ms": 5.0,
                "answer_p95_ms": 9.0,
                "step_p95_ms": 4.0,
                "batch_mean": 1.2,
                "cpu_cores": 0.1,
                "in_time": True,
                "packets": 30,
                "measured_on": "dev, 30 packets",
            }
            for part in live.PARTS
            for calls in (1, 2)
        ],
        language={"small": "10 pairs"},
    )


def test_every_table_shows_the_claim_beside_our_figure_and_what_it_was_measured_on() -> None:
    out = Console(record=True, width=300, highlight=False)

    report.show(results(), out)

    shown = out.export_text()
    assert "360 MB, WER 5.1 %" in shown
    assert "25.0 % (10.0 to 40.0), 5 of 20 words, 3 utterances" in shown
    assert "3.3 % (1.0 to 6.0), 3 of 90 phones, 3 utterances" in shown
    assert "Phones said twice" in shown
    assert "10.0 (2.0 to 20.0)" in shown  # points gained
    assert "Measured 2026-11-23 21:00 UTC on a machine" in shown
    assert shown.count("\n") > 25


def test_the_page_holds_its_tables_and_pictures_and_needs_nothing_else(tmp_path: Path) -> None:
    report.write(results(), tmp_path / "article.html")

    page = (tmp_path / "article.html").read_text()
    assert page.count("<table>") == 5
    assert page.count("data:image/png;base64,") == 3
    assert page.count("<th>Measured on</th>") == 5
    assert page.count("dev, 3 utterances, 40 packets") == 2 + 4 + 3 + 3
    assert "http" not in page


def test_programs_find_sizes_and_errors_of_the_four_ways_notes_and_claims() -> None:
    found = json.loads(json.dumps(results().as_dict()))

    assert found["quantisation"] == {
        "fp32_mb": 18.7,
        "int8_mb": 5.0,
        "fp32_wer": 0.25,
        "dynamic_wer": 0.25,
        "static_wer": 0.25,
        "qat_wer": 0.25,
    }
    assert found["claims"]["ab"]["wer"] == {"before": "5.1 %", "after": "5.4 %"}
    assert any("small: 10 pairs" in note for note in found["notes"])


def test_calls_grow_in_real_time_until_there_are_enough_alone_and_to_words() -> None:
    sounds = [noise(1.5, seed) for seed in range(2)]

    rows = live.grow(TINY, sounds, measure.decoders(None), seconds=1.0, most=2)

    for part in live.PARTS:
        mine = [row for row in rows if row.part == part]
        assert {row.max_wait_ms for row in mine} == set(live.WAITS_MS)
        assert all(row.packets >= 3 * row.calls for row in mine)
    in_time = [(row.part, row.max_wait_ms, row.calls) for row in rows if row.in_time]
    assert in_time[:2] == [("network", 0, 1), ("network", 0, 2)]


def test_models_hear_the_same_clips_in_turns_and_each_says_what_it_says_alone(
    tmp_path: Path,
) -> None:
    clips = manifest.read(songbook(tmp_path / "songs", 5))
    cases = [(TINY, 1), (TINY, 3)]

    heard = hearing.side_by_side(cases, clips, measure.readers(None))

    graph = open_graph(TINY)
    decode = evaluate.greedy(graph)
    alone = evaluate.hear(graph, clips)
    assert heard[TINY, 1].texts == [decode(one) for one in alone.log_probs]
    assert heard[TINY, 3].texts == heard[TINY, 1].texts  # FP32: batch mates change nothing
    for one, other in zip(heard[TINY, 3].log_probs, alone.log_probs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)
    for case in cases:
        assert 0 < heard[case].rtf_network < heard[case].rtf_to_words
        assert max(step.calls for step in heard[case].steps) == case[1]


def test_a_model_s_memory_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    clips = manifest.read(songbook(tmp_path / "songs", 1))

    found = measure.memory(TINY, 2, None, clips[0].file)

    assert found.state > 0
    assert found.to_words >= found.network


def test_what_is_told_twice_counts_only_beyond_what_was_said_twice() -> None:
    said = [["B", "AH", "S", "S", "T", "AA", "P"], ["S", "T", "AA", "P"]]  # "bus stop", "stop"
    heard = [["B", "AH", "S", "S", "T", "AA", "P"], ["S", "S", "T", "T", "AA"]]

    found = evaluate.repeats("phones", said, heard).as_dict()

    assert (found["repeated_count"], found["repeated_of"]) == (2, 11)
    assert found["repeated_share"] == round(2 / 11, 4)
    assert found["repeated_low"] == 0.0  # of draws of the first utterance alone
    assert found["repeated_high"] == 0.5


def test_all_arguments_have_defaults() -> None:
    parser = argparse.ArgumentParser()
    add(parser)

    assert parser.parse_args([]).set == "en_assistant"
