"""The latency bench: what counts as cutting a caller off, and a run against a real agent."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from agent.__main__ import run
from agent.bench.latency import Machine, Spoken, measure, shares, show
from agent.bench.rounds import Round, Told, false_endpoints, later_ms, sum_up
from agent.caller import CallResult, Exactness, TurnResult
from agent.line import PLAYOUT_RATE
from agent.messages import Playing, ReplyEnd
from agent.report import select, summarise
from agent.webrtc import sound
from tests.agent.report.turns import turn

EXACT = Exactness(0.1, 0.2, 0.0, 0.0, 0.0, 0, 0)
ANSWERED = TurnResult(
    file="a.flac",
    turn=1,
    partials=(),
    final="what time is it",
    reply="It is noon.",
    heard_text="It is noon.",
    interrupted=False,
    heard_ms=600.0,
    silenced_ms=None,
    marks={},
    timeline=turn(1).to_dict(),
    failure=None,
)

PROFILE = """
name: Scripted
language: en
vad: {engine: energy}
turn: {engine: silence, preset: quick}
asr: {engine: scripted, lines: [what time is it now]}
llm: {engine: echo, reply: It is noon.}
voice: {engine: tone}
"""


def call(*turns: TurnResult) -> CallResult:
    return CallResult("http://x", "c", "robin", 100.0, "", turns, (), EXACT, None)


def test_one_reply_a_recording_is_as_it_should_be() -> None:
    result = call(ANSWERED, replace(ANSWERED, turn=2), replace(ANSWERED, turn=3))
    assert false_endpoints(result, Counter({0: 1, 1: 1, 2: 1, 3: 1})) == 0


def test_a_recording_answered_in_two_pieces_was_cut_off() -> None:
    result = call(ANSWERED, replace(ANSWERED, turn=3), replace(ANSWERED, turn=4))
    assert false_endpoints(result, Counter({1: 1, 2: 1, 3: 1, 4: 1})) == 1


def test_a_reply_that_began_and_was_started_anew_cut_the_caller_off() -> None:
    result = call(ANSWERED, replace(ANSWERED, turn=2))
    assert false_endpoints(result, Counter({1: 2, 2: 1})) == 1


def test_an_endpoint_before_the_last_sound_cut_the_caller_off() -> None:
    early = turn(1, marks={"speech_end": 0.0, "endpoint": -40.0}).to_dict()
    assert false_endpoints(call(replace(ANSWERED, timeline=early)), Counter({1: 1})) == 1


def test_a_recording_without_an_answer_is_a_failure_and_no_false_endpoint() -> None:
    unanswered = replace(ANSWERED, turn=None, timeline=None)
    assert false_endpoints(call(unanswered, ANSWERED), Counter({1: 1})) == 0


def test_a_reply_that_was_dropped_before_its_first_sound_cost_the_caller_nothing() -> None:
    told = Told()
    told.take(ReplyEnd(turn=1, reply=1, heard="", interrupted=True))
    told.take(Playing(turn=1, reply=2, at=0.0))
    told.take(ReplyEnd(turn=1, reply=2, heard="It is noon.", interrupted=False))
    assert false_endpoints(call(ANSWERED), told.ended) == 1
    assert false_endpoints(call(ANSWERED), told.played) == 0


def test_the_messages_that_are_counted_are_those_of_replies_that_end() -> None:
    told = Told()
    for interrupted in (True, False):
        told.take(ReplyEnd(turn=4, reply=7, heard="", interrupted=interrupted))
    assert told.ended == Counter({4: 2})


@pytest.mark.timeout(90)
async def test_two_callers_at_once_are_measured_against_a_real_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTWORD_PROFILES", str(tmp_path))
    (tmp_path / "scripted.yaml").write_text(PROFILE)
    speech, state = tmp_path / "speech.wav", tmp_path / "state"
    sound.write(speech, [_tone(0.8)], PLAYOUT_RATE)
    [alone, two] = await measure("scripted", Spoken([speech]), 1, [1, 2], state)
    assert (alone.calls, alone.turns, two.turns) == (1, 2, 2)
    assert alone.failures == two.failures == ()
    assert len(two.heard_ms) == 2
    for each in (alone, two):
        shown = each.to_dict()
        assert shown["heard_ms"]["n"] == each.turns
        assert {"endpoint", "llm", "tts", "playout", "ear"} <= shown["stages"].keys()
    assert two.load is not None
    assert two.load.cores > 0
    assert (state / "turns.sqlite").is_file()  # and not among the user's own


@pytest.mark.timeout(90)
def test_the_json_holds_the_replies_that_cut_in_and_can_be_reported_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIRSTWORD_PROFILES", str(tmp_path))
    longer = PROFILE.replace("It is noon", "It is noon and the sun stands high over the harbour")
    (tmp_path / "scripted.yaml").write_text(longer)
    speech, kept = tmp_path / "speech.wav", tmp_path / "run.json"
    pause = np.zeros(round(0.7 * PLAYOUT_RATE), np.int16)  # an agent in a hurry answers in it
    sound.write(speech, [np.concatenate([_tone(0.8), pause, _tone(0.8)])], PLAYOUT_RATE)
    asked = ["--profile", "scripted", "--turns", "2", "--say", str(speech), "--json"]
    assert run(["bench", "latency", *asked]) == 0
    printed = capsys.readouterr().out
    shown = json.loads(printed)
    assert shown["heard_ms"]["n"] == shown["turns"] == shown["false_endpoints"] == 2
    kept.write_text(printed)
    figures = summarise(select(str(kept)).records)
    assert figures.turns == len(shown["records"]) == 4
    assert figures.endpoints.early == 2


def test_every_round_says_the_same_whoever_says_what() -> None:
    spoken = Spoken([Path(name) for name in "abcdefg"])
    for callers in (1, 2, 3, 8):
        said = [one.files for one in shares(spoken, 8, callers)]
        assert [file.name for files in said for file in files] == list("abcdefga")
        assert max(map(len, said)) - min(map(len, said)) <= 1


def test_a_round_is_compared_with_another_by_the_recordings_that_both_heard() -> None:
    def round_of(calls: int, **waits: float | None) -> Round:
        said = [replace(ANSWERED, file=file, heard_ms=ms) for file, ms in waits.items()]
        return sum_up(calls, [(call(*said), Told())])

    alone, crowd = round_of(1, a=400, b=900, c=500), round_of(8, a=460, b=880, c=None, d=300)
    assert later_ms(alone, crowd) == (60, -20)
    assert later_ms(alone, round_of(8, d=300)) == ()


def test_what_one_says_twice_counts_by_its_median() -> None:
    twice = [replace(ANSWERED, heard_ms=ms) for ms in (500.0, 700.0)]
    again = sum_up(2, [(call(*twice), Told())])
    assert later_ms(sum_up(1, [(call(ANSWERED), Told())]), again) == (0.0,)


def printed(*rounds: Round) -> str:
    console = Console(record=True, width=120, file=io.StringIO())
    show(console, rounds, Machine("a quiet one", 2, 0.0))
    return console.export_text()


def test_one_call_at_once_is_told_by_every_percentile_a_stage_and_in_total() -> None:
    turns = [
        replace(ANSWERED, turn=n, timeline=turn(n, heard_ms=570.0 + n).to_dict())
        for n in range(1, 102)
    ]
    told = printed(sum_up(1, [(call(*turns), Told(Counter({1: 2}), Counter()))]))
    rows = {line.split()[0]: line.split()[1:] for line in told.splitlines() if line.strip()}
    assert rows["stage"] == ["turns", "mean", "p50", "p90", "p95", "p99", "hidden"]
    assert rows["endpoint"] == ["101", "300", "300", "300", "300", "300"]
    assert rows["total"] == ["101", "621", "621", "661", "666", "670"]
    assert "101 of 101 turns heard; 1 false endpoint, 0 of them heard." in told


def test_several_numbers_of_calls_stand_side_by_side_too() -> None:
    rounds = [sum_up(count, [(call(ANSWERED), Told(Counter(), Counter()))]) for count in (1, 2)]
    told = printed(*rounds)
    assert "p99" in told
    assert "2 calls" in told
    later = "2 at once: the same is heard 0 / 0 ms later than with 1, p50 / p95 of 1 recording."
    assert later in " ".join(told.split())


def test_a_run_in_which_nothing_was_heard_has_no_table_and_says_so() -> None:
    silent = replace(ANSWERED, timeline=None, heard_ms=None, failure="a.flac: no whole reply")
    told = printed(sum_up(1, [(call(silent), Told(Counter(), Counter()))]))
    assert "0 of 1 turns heard" in told
    assert "p99" not in told


def test_json_has_every_percentile() -> None:
    shown = sum_up(1, [(call(ANSWERED), Told(Counter(), Counter()))]).to_dict()
    heard = {"p50": 600.0, "p90": 600.0, "p95": 600.0, "p99": 600.0, "n": 1}
    assert shown["heard_ms"] == heard
    assert shown["stages"]["endpoint"]["p99"] == 300.0


@pytest.mark.timeout(90)
async def test_a_recording_that_was_answered_in_its_pause_is_heard_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTWORD_PROFILES", str(tmp_path))
    (tmp_path / "scripted.yaml").write_text(PROFILE)
    speech = tmp_path / "speech.wav"
    pause = np.zeros(round(2.5 * PLAYOUT_RATE), np.int16)  # room for the whole reply
    sound.write(speech, [np.concatenate([_tone(0.8), pause, _tone(0.8)])], PLAYOUT_RATE)
    [alone] = await measure("scripted", Spoken([speech]), 1, [1], tmp_path / "state")
    assert len(alone.records) == 2
    assert (alone.false_endpoints, alone.false_endpoints_heard) == (1, 1)
    assert alone.failures == ()


def _tone(seconds: float) -> NDArray[np.int16]:
    count = np.arange(round(seconds * PLAYOUT_RATE))
    return (9_000 * np.sin(2 * np.pi * 220 * count / PLAYOUT_RATE)).astype(np.int16)
