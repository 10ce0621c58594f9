"""The table of rescoring: what models gain against none, and what they add at the endpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stages.asr.campp.article import rescoring
from stages.asr.campp.decode.words import Table
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training import wordmodel
from stages.asr.campp.training.manifest import Clip
from stages.asr.campp.training.text import PHONE_TOKENS
from tests.stages.asr.campp.conftest import TINY
from tests.stages.asr.campp.decode.test_spoken import heard, lexicon

SAID = ("write a letter", "turn right", "write the letter")
SOUNDED = ("R AY T AH L EH T ER", "T ER N R AY T", "R AY T DH AH L EH T ER")


def found(tmp_path: Path) -> list[rescoring.Point]:
    lexicon(tmp_path)  # leaves words.lm
    large = Table.read(tmp_path / "words.lm")
    wordmodel.pruned(large, (2, 1)).save(tmp_path / "small.lm")
    graph = replace(open_graph(TINY), tokens=PHONE_TOKENS)
    language = {"small": tmp_path / "small.lm", "large": tmp_path / "words.lm"}
    return rescoring.points(graph, language, [heard(one) for one in SOUNDED])


def test_no_language_model_comes_first_and_each_size_is_a_curve_over_weights(
    tmp_path: Path,
) -> None:
    points = found(tmp_path)

    assert (points[0].how, points[0].weight) == ("no language model", 0.0)
    curves: dict[str, list[float]] = {}
    for point in points[1:]:
        curves.setdefault(point.how, []).append(point.weight)
    assert set(curves) == {
        "small n-gram, while speaking",
        "large n-gram, while speaking",
        "small n-gram, at the endpoint",
        "large n-gram, at the endpoint",
        "small n-gram, while speaking; large, at the endpoint",
    }
    assert all(weights == list(rescoring.WEIGHTS) for weights in curves.values())
    assert all(len(point.texts) == len(point.ms) == len(SAID) for point in points)


def test_rows_tell_what_is_gained_and_added_against_the_first(tmp_path: Path) -> None:
    clips = [Clip(Path(f"{text}.wav"), text, "dev", text, "", 1.0) for text in SAID]

    rows = rescoring.rows(found(tmp_path), "dev", clips)

    assert (rows[0]["gained"], rows[0]["added_ms"]) == (0.0, 0.0)
    assert (rows[0]["gained_low"], rows[0]["gained_high"]) == (0.0, 0.0)
    best = max(rows, key=lambda row: row["gained"])
    assert best["gained"] == pytest.approx(rows[0]["wer"] - best["wer"], abs=1e-3)
    assert best["wer"] == 0.0  # "right" and "write" sound alike: words before and after tell
    assert best["gained_low"] <= best["gained"] <= best["gained_high"]
    for row in rows:
        assert row["clips"] == 3
        assert "dev, 3 utterances" in row["measured_on"]
        assert row["added_ms"] == pytest.approx(
            row["at_endpoint_ms"] - rows[0]["at_endpoint_ms"], abs=2e-3
        )
