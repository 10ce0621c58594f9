"""``firstword report`` as a user runs it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from agent.__main__ import run
from agent.trace import open_traces
from tests.agent.report.turns import stalled, turn


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Return a file of twelve turns."""
    file = tmp_path / "run.json"
    file.write_text(json.dumps([turn(n, heard_ms=580.0 + n).to_dict() for n in range(1, 13)]))
    return file


def test_the_figures_are_printed(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "--from", str(recorded)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "run: 12 turns in 1 call" in printed
    assert "endpoint" in printed
    assert "0 of 12 turns ended too early" in printed
    assert "; from the last sound to the endpoint: p50 300, p95 300 ms;" in printed


def test_how_far_off_the_vad_was_is_printed_where_callers_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.json"
    late, early = turn(1, vad_error_ms=40.0), turn(2, vad_error_ms=-20.0)
    file.write_text(json.dumps([late.to_dict(), early.to_dict()]))
    assert run(["report", "--from", str(file)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "error of the VAD's end of speech: p50 30, p95 39 ms" in printed


def test_json_can_be_reported_on_again(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "--from", str(recorded), "--json"]) == 0
    first = capsys.readouterr().out
    again = tmp_path / "run2.json"
    again.write_text(first)
    assert run(["report", "--from", str(again), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["figures"] == json.loads(first)["figures"]


def test_csv_has_a_row_a_turn_and_no_formulas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps([turn(1, user_text='=HYPERLINK("evil")').to_dict()]))
    assert run(["report", "--from", str(file), "--csv"]) == 0
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["user_text"] == '\'=HYPERLINK("evil")'
    assert (row["endpoint_ms"], row["first_response_ms"], row["measure"]) == (
        "300.0",
        "600.0",
        "heard",
    )


def test_csv_keeps_the_number_of_a_turn_apart_from_what_took_turns(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "--from", str(recorded), "--csv"]) == 0
    header, *_ = printed = capsys.readouterr().out.splitlines()
    assert len(set(header.split(","))) == len(header.split(","))
    rows = list(csv.DictReader(printed))
    assert [row["turn"] for row in rows] == [str(n) for n in range(1, 13)]
    assert {row["turn_engine"] for row in rows} == {"silence"}
    assert {row["tts_engine"] for row in rows} == {"hibari"}


def test_two_things_on_one_output_are_refused(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "--from", str(recorded), "--csv", "--json"]) == 2
    told = capsys.readouterr()
    assert "Choose one of --csv and --json" in told.err
    assert told.out == ""


def test_a_caller_who_heard_the_reply_cut_in_is_told_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = turn(1, interrupted=True, interrupted_after_ms=700.0)
    file, html = tmp_path / "run.json", tmp_path / "report.html"
    file.write_text(json.dumps([each.to_dict() for each in (cut, turn(2), turn(3))]))
    assert run(["report", "--from", str(file), "--html", str(html)]) == 0
    assert "1 of 3 turns ended too early (1 heard the reply cut in)" in capsys.readouterr().out
    assert "callers who heard the reply cut in" in html.read_text()
    assert run(["report", "--from", str(file), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["figures"]["endpoints"]["heard"] == 1
    assert shown["records"][0]["interrupted_after_ms"] == 700.0
    assert run(["report", "--from", str(file), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["cut_in"] for row in rows] == ["True", "False", "False"]
    assert [row["interrupted_after_ms"] for row in rows] == ["700.0", "", ""]


def test_a_caller_who_hung_up_is_told_apart_from_one_who_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hung_up = turn(1, interrupted=True, line_ended=True)
    barge_in = turn(2, interrupted=True, interrupted_after_ms=2300.0)
    file, html = tmp_path / "run.json", tmp_path / "report.html"
    file.write_text(json.dumps([each.to_dict() for each in (hung_up, barge_in, turn(3))]))
    assert run(["report", "--from", str(file), "--html", str(html)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "1 replies interrupted; 1 cut off by the end of the line" in told
    assert "replies cut off by the end of the line" in html.read_text()
    assert run(["report", "--from", str(file), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["line_ended"] for row in rows] == ["True", "False", "False"]


def test_stalls_of_the_event_loop_are_told_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, html = tmp_path / "run.json", tmp_path / "report.html"
    file.write_text(json.dumps([each.to_dict() for each in (stalled(1), turn(2))]))
    assert run(["report", "--from", str(file), "--html", str(html)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Event loop: 1 of 1 turns stalled (2 wake-ups 50 ms late or more, 120 ms" in printed
    assert "Slow: 600 ms (endpoint 300, llm 100, tts 60) in call call-a, turn 1." in printed
    assert "The event loop stalled 2 times in this wait, for 120 ms (80 ms at worst)." in printed
    assert "turns in which it stalled" in html.read_text()
    assert run(["report", "--from", str(file), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["figures"]["event_loop"]["stalled_ms"] == 120.0
    assert shown["records"][0]["event_loop"]["worst_ms"] == 80.0
    assert run(["report", "--from", str(file), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["loop_stalls"] for row in rows] == ["2", ""]
    assert [row["loop_stalled_ms"] for row in rows] == ["120.0", ""]


def test_a_report_for_others_can_leave_out_what_was_said(recorded: Path, tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    assert run(["report", "--from", str(recorded), "--html", str(html), "--no-words"]) == 0
    assert "what time is it" not in html.read_text()
    assert run(["report", "--from", str(recorded), "--html", str(html)]) == 0
    assert "what time is it" in html.read_text()


def test_compare_says_in_a_sentence_what_changed(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slower, html = tmp_path / "slower.json", tmp_path / "compared.html"
    slower.write_text(json.dumps([turn(n, heard_ms=680.0 + n).to_dict() for n in range(1, 13)]))
    assert run(["report", "compare", str(recorded), str(slower), "--html", str(html)]) == 0
    assert "slower is 100 ms slower than run at the median" in capsys.readouterr().out
    assert "slower is 100 ms slower" in html.read_text()


@pytest.mark.parametrize("empty", ["first", "second"])
async def test_a_side_to_which_no_turn_belongs_is_no_comparison(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    empty: str,
) -> None:
    monkeypatch.setenv("FIRSTWORD_STATE", str(tmp_path))
    async with open_traces() as traces:
        traces.put(turn(1))
        traces.put(turn(2, profile="wren"))
    sides = ["nobody", "robin"] if empty == "first" else ["robin", "nobody"]
    assert run(["report", "compare", *sides]) == 2
    told = capsys.readouterr()
    assert told.err == (
        "firstword: No turn belongs to 'nobody', so nothing can be compared; turns were kept of:"
        " robin, wren.\n"
    )
    assert told.out == ""


def test_where_no_turn_was_kept_yet_nothing_can_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIRSTWORD_STATE", str(tmp_path))
    assert run(["report", "compare", "since=2d", "since=1h"]) == 2
    assert capsys.readouterr().err == (
        "firstword: No turn belongs to 'since=2d', so nothing can be compared; no turns were kept"
        " yet: call the agent, or run: firstword demo\n"
    )


def test_over_the_budget_is_an_exit_code(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = tmp_path / "budget.yaml"
    budget.write_text("heard: {p50: 450}\n")
    assert run(["report", "--from", str(recorded), "--budget", str(budget)]) == 1
    assert "heard p50 is 586.5 ms, over the budget of 450." in capsys.readouterr().err
    budget.write_text("heard: {p50: 600}\n")
    assert run(["report", "--from", str(recorded), "--budget", str(budget)]) == 0


@pytest.fixture
def slower(tmp_path: Path) -> Path:
    """Return a file of twelve turns that are 100 ms slower."""
    file = tmp_path / "slower.json"
    file.write_text(json.dumps([turn(n, heard_ms=680.0 + n).to_dict() for n in range(1, 13)]))
    return file


@pytest.mark.parametrize("first", [True, False])
def test_a_comparison_is_held_against_the_budget_wherever_it_is_named(
    recorded: Path, slower: Path, tmp_path: Path, first: bool
) -> None:
    budget, html = tmp_path / "budget.yaml", tmp_path / "compared.html"
    budget.write_text("heard: {p50: 600}\n")
    options = ["--budget", str(budget), "--html", str(html)]
    verb = ["compare", str(recorded), str(slower)]
    assert run(["report", *options, *verb] if first else ["report", *verb, *options]) == 1
    assert "slower is 100 ms slower" in html.read_text()


def test_json_and_no_words_may_stand_before_the_verb(
    recorded: Path, slower: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", "--json", "--no-words", "compare", str(recorded), str(slower)]) == 0
    assert json.loads(capsys.readouterr().out)["names"] == ["run", "slower"]


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        (["--from", "x"], "profile=quick,since=2h"),
        (["--since", "2h"], "profile=quick,since=2h"),
        (["--until", "2h"], "profile=quick,since=2h"),
        (["--profile", "robin"], "profile=quick,since=2h"),
        (["--call", "c"], "profile=quick,since=2h"),
        (["--csv"], "--json"),
    ],
)
def test_what_a_comparison_cannot_heed_is_refused(
    recorded: Path,
    slower: Path,
    option: list[str],
    instead: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["report", *option, "compare", str(recorded), str(slower)]) == 2
    told = capsys.readouterr().err
    assert f"report compare knows no {option[0]}" in told
    assert instead in told


def test_no_turns_yet_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIRSTWORD_STATE", str(tmp_path))
    assert run(["report"]) == 0
    assert "firstword demo" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["report", "turns"])
def test_a_store_that_is_named_and_not_there_is_an_error(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = tmp_path / "none.sqlite"
    assert run([command, "--database", str(none)]) == 2
    assert f"There is no store of turns at {none}." in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["report", "--from", "gone.json"]) == 2
    assert "There is no file 'gone.json'." in capsys.readouterr().err
