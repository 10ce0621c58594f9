"""``firstword asr partials``, from recordings to the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agent.__main__ import run
from stages.asr.campp.partials.command import Heard, figures, gaps, heard, show
from stages.asr.campp.partials.play import Played, Shown
from stages.events import Transcript, Word
from stages.models import ModelStore
from tests.stages.asr.campp.conftest import TINY
from tests.stages.asr.campp.training.tones import songbook

pytestmark = pytest.mark.timeout(120)

SAID = [("what", "is", "it"), ("twenty", "one")]


def quick() -> list[Heard]:
    """Return what a recogniser with places of its words made of two utterances."""
    words = Word("wot", 0, 3200), Word("is", 3300, 6400)
    first = Played(
        (
            Shown(Transcript(0, "wot", 4800, words=words[:1]), 4800, 2.0),
            Shown(Transcript(0, "wot is", 8000, stable=3, words=words), 8000, 4.0),
        ),
        "wot is it",
        1.0,
        0.02,
    )
    return [heard(first), heard(Played((), "", 1.0, 0.02))]


def slow() -> list[Heard]:
    """Return what one without places made of them; its finals are the yardstick."""
    partials = (
        Shown(Transcript(0, "What's", 8000), 8000, 30.0),
        Shown(Transcript(0, "What is it?", 16_000, stable=7), 16_000, 50.0),
    )
    number = (Shown(Transcript(0, "21", 16_000), 16_000, 40.0),)
    return [
        heard(Played(partials, "What is it?", 1.0, 0.2)),
        heard(Played(number, "21.", 1.0, 0.1)),
    ]


def test_partials_are_held_against_the_finals_of_the_other() -> None:
    found = figures("quick", quick(), SAID)

    assert found["partials"] == 2
    assert found["without_partials"] == 1
    assert found["shown"]["partials"]["value"] == pytest.approx(2 / 3, abs=1e-4)  # wot; wot is
    assert found["shown"]["last"]["value"] == pytest.approx(4 / 5)  # nothing shown: all missing
    assert found["shown"]["changed"]["value"] == 0
    assert found["stable"]["last"]["value"] == 1
    assert found["final"]["value"] == pytest.approx(3 / 5)
    assert found["cpu"]["value"] == pytest.approx(0.02)


def test_how_late_words_are_is_told_where_their_places_are_known() -> None:
    assert figures("quick", quick(), SAID)["delay_ms"] == {
        "value": 100, "low": 100, "high": 100, "of": 2, "p50": 100, "p95": 100,
    }  # fmt: skip
    assert figures("slow", slow(), SAID)["delay_ms"] is None
    assert figures("slow", slow(), SAID)["first_ms"] == {"p50": 750, "p95": 975}
    assert figures("slow", slow(), SAID)["work_ms"] == {"p50": 40, "p95": 49}


def test_words_are_compared_as_they_are_said_and_not_as_they_are_written() -> None:
    found = figures("slow", slow(), SAID)

    assert found["shown"]["last"]["value"] == 0
    assert found["final"]["value"] == 0
    assert found["shown"]["changed"]["value"] == pytest.approx(1 / 6, abs=1e-4)  # what's


def test_one_minus_the_other_is_below_nothing_where_the_first_is_better() -> None:
    found: Any = gaps(quick(), slow(), SAID)

    assert found["cpu"]["value"] == pytest.approx(-0.13)
    assert found["cpu"]["high"] < 0 < found["last"]["low"]
    assert found["changed"]["value"] < 0


def test_the_table_says_what_was_measured_and_on_what() -> None:
    results = {
        "date": "2026-11-28 23:00 UTC",
        "machine": "a machine",
        "onnxruntime": "1.32",
        "audio": "dev: 2 utterances, 0.0 min",
        "finals": "slow",
        "playing_cpu": 0.003,
        "recognisers": [figures("quick", quick(), SAID), figures("slow", slow(), SAID)],
        "gaps": gaps(quick(), slow(), SAID),
    }
    out = Console(record=True, width=200, highlight=False)

    show(results, out)

    shown = out.export_text()
    assert "Partials against the finals of slow" in shown
    assert "66.7 % (66.7 to 66.7)" in shown
    assert "100 / 100" in shown
    assert "quick minus slow, below 0 is better: partials" in shown
    assert "Measured 2026-11-28 23:00 UTC on a machine" in shown


def test_two_recognisers_hear_the_recordings_of_a_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs = songbook(tmp_path / "songs", 3)
    arguments = ["asr", "partials", str(songs), "--sets", "tones", "--model", str(TINY)]

    assert run([*arguments, "--beside", "scripted", "--limit", "2", "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    ours, other = report["recognisers"]
    assert report["audio"].startswith("tones: 2 utterances")
    assert (ours["name"], other["name"], report["finals"]) == ("campp", "scripted", "scripted")
    assert other["final"]["value"] == 0
    assert other["shown"]["partials"]["value"] == 0  # a script is never wrong
    assert other["shown"]["changed"]["value"] == 0
    assert ours["cpu"]["value"] > report["playing_cpu"] > 0


def test_what_cannot_be_measured_is_told_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    songs = songbook(tmp_path / "songs", 1)

    def refused(*more: str) -> str:
        assert run(["asr", "partials", str(songs), "--sets", "", *more]) == 2
        return capsys.readouterr().err

    assert "no asr stage called 'whisperer'" in refused("--beside", "whisperer")
    assert "two different recognisers" in refused("--beside", "campp")
    assert "they have no clips of talks" in refused("--sets", "talks")
    assert "there is no such file" in refused("--model", str(tmp_path / "none.onnx"))


@pytest.mark.model
@pytest.mark.speech
def test_ours_and_moonshine_hear_real_requests(
    speech: Path, store: ModelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = str(speech / "dev" / "manifest.jsonl")

    assert run(["asr", "partials", manifest, "--limit", "4", "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    ours, moonshine = report["recognisers"]
    assert moonshine["final"]["value"] == 0  # the yardstick itself
    assert moonshine["delay_ms"] is None
    assert ours["delay_ms"]["of"] > 4
    for one in (ours, moonshine):
        assert one["partials"] > 4
        assert 0 <= one["shown"]["last"]["low"] <= one["shown"]["last"]["value"]
        assert one["stable"]["partials"]["of"] <= one["shown"]["partials"]["of"]
        assert not one["stable"]["changed"]["value"]  # promised is promised
    assert ours["first_ms"]["p50"] % 32 == moonshine["first_ms"]["p50"] % 32 == 0
