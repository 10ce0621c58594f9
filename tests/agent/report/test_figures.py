"""Figures of turns: what is put together, and what never is."""

from __future__ import annotations

from typing import Any

import pytest

from agent.report import summarise
from agent.timeline import Lateness, TurnRecord
from tests.agent.report.turns import STAGES, guessed, stalled, turn


def test_the_means_of_the_stages_add_up_to_the_mean_of_the_whole() -> None:
    figures = summarise([turn(n, heard_ms=600.0 + 37 * n) for n in range(1, 20)] + [guessed(20)])
    assert figures.total is not None
    assert figures.measure == "heard"
    added = sum(stage.adds for stage in figures.stages)
    assert added == pytest.approx(figures.total.mean, abs=0.5)


def test_percentiles_are_those_of_the_turns() -> None:
    figures = summarise([turn(n, heard_ms=570.0 + n) for n in range(1, 102)])
    assert figures.total is not None
    assert (figures.total.n, figures.total.p50, figures.total.p90) == (101, 621.0, 661.0)
    assert (figures.total.p95, figures.total.p99) == (666.0, 670.0)


def test_a_turn_without_an_ear_is_not_put_with_those_that_were_heard() -> None:
    figures = summarise([turn(1), turn(2), turn(3, heard_ms=None)])
    assert figures.total is not None
    assert (figures.total.n, figures.total.p50) == (2, 600.0)
    assert (figures.others["playout"].n, figures.others["playout"].p50) == (1, 570.0)


def test_where_nobody_listened_the_headline_says_so() -> None:
    figures = summarise([turn(1, heard_ms=None)])
    assert figures.measure == "playout"
    assert not figures.others


def test_a_stage_that_had_no_part_in_some_turns_still_adds_its_share() -> None:
    without_asr = turn(2, spans=(("endpoint", 300.0), ("tts", 300.0)))
    figures = summarise([turn(1), without_asr])
    asr = next(stage for stage in figures.stages if stage.name == "asr")
    assert (asr.spread.n, asr.spread.p50, asr.adds) == (1, 50.0, 25.0)


def test_guesses_are_counted_with_what_they_cost_and_saved() -> None:
    guesses = summarise([guessed(1), turn(2)]).guesses
    assert (guesses.turns, guesses.tries, guesses.hits, guesses.misses) == (1, 2, 1, 1)
    assert guesses.tokens_wasted == 7
    assert guesses.saved_ms == pytest.approx(200.0)


def test_a_caller_who_was_cut_off_is_counted_once_a_turn() -> None:
    cut_by_mark = turn(1, marks={"speech_end": 0.0, "endpoint": -120.0})
    began_anew = [turn(2, reply=2, interrupted=True), turn(2, reply=3)]
    ends = summarise([cut_by_mark, *began_anew, turn(3)]).endpoints
    assert (ends.early, ends.judged) == (2, 3)


def cut_in(number: int = 1, **changes: Any) -> TurnRecord:
    """Return a turn whose caller went on 0.7 s after their last sound, over the reply."""
    return turn(number, interrupted=True, interrupted_after_ms=700.0, **changes)


def test_a_caller_who_heard_the_reply_cut_in_is_counted_though_the_rest_is_the_next_turn() -> None:
    ends = summarise([cut_in(1), turn(2), turn(3)]).endpoints
    assert (ends.early, ends.heard, ends.judged) == (1, 1, 3)


def test_a_caller_who_listened_and_then_took_the_word_was_not_cut_off() -> None:
    barge_in = turn(1, interrupted=True, interrupted_after_ms=2300.0, barge_in_ms=120.0)
    figures = summarise([barge_in, turn(2)])
    assert (figures.endpoints.early, figures.endpoints.heard) == (0, 0)
    assert figures.interrupted == 1
    assert figures.barge_in is not None


def test_a_reply_that_cut_in_is_no_barge_in() -> None:
    figures = summarise([cut_in(1, barge_in_ms=4000.0), turn(2)])
    assert figures.barge_in is None
    assert figures.interrupted == 0


def test_a_caller_who_hangs_up_in_a_reply_does_not_interrupt_it() -> None:
    barge_in = turn(1, interrupted=True, interrupted_after_ms=2300.0)
    hung_up = turn(2, interrupted=True, line_ended=True)
    figures = summarise([barge_in, hung_up, turn(3)])
    assert (figures.interrupted, figures.line_ended) == (1, 1)


def test_errors_and_fallbacks_are_counted_and_laid_at_the_right_door() -> None:
    failed = turn(1, error="llm: nothing came for 20 s", first_response_ms=None)
    voice = turn(2, fallbacks=("tts edge: no answer; the voice 'hibari' goes on.",))
    figures = summarise([failed, voice, voice])
    assert figures.errors == {"llm: nothing came for 20 s": 1}
    assert figures.fallbacks == {"tts edge: no answer; the voice 'hibari' goes on.": 2}
    doors = {group.name: (group.failed, group.fallbacks) for group in figures.by_engine}
    assert doors["llm smollm"] == (1, 0)
    assert doors["tts edge"] == (0, 2)  # it spoke in none of these turns, and failed in two
    assert doors["tts hibari"] == (0, 0)
    assert doors["asr moonshine"] == (0, 0)
    turns = {group.name: group.turns for group in figures.by_engine}
    assert (turns["tts edge"], turns["tts hibari"]) == (0, 3)


def test_groups_hold_the_turns_of_a_profile_an_engine_and_a_day() -> None:
    late = "2026-11-24T09:00:00.000+00:00"
    figures = summarise([turn(1), turn(2, profile="wren"), turn(3, started_at=late)])
    profiles = {group.name: group.turns for group in figures.by_profile}
    assert profiles == {"robin": 2, "wren": 1}
    assert [group.name for group in figures.by_day] == ["2026-11-23", "2026-11-24"]
    engines = {group.name: group.total for group in figures.by_engine}
    llm = engines["llm smollm"]
    assert llm is not None
    assert llm.p50 == 150.0  # first token and first clause are both the LLM's


def test_engines_of_every_kind_that_a_record_names_are_grouped_in_their_order() -> None:
    stages = STAGES | {"speaker": "campplus", "gesture": "wave"}  # no kind of ours
    figures = summarise([turn(1, stages=stages), turn(2)])
    assert [group.name for group in figures.by_engine] == [
        "vad silero",
        "turn silence",
        "asr moonshine",
        "speaker campplus",
        "llm smollm",
        "tts hibari",
        "gesture wave",
    ]
    groups = {group.name: group for group in figures.by_engine}
    assert groups["vad silero"].total is None  # it runs beside the wait, in no span of it
    assert groups["speaker campplus"].turns == 1


def test_stalls_of_the_event_loop_are_counted_where_it_was_watched() -> None:
    on_time = turn(2, event_loop=Lateness(worst_ms=3.0, stalls=0, stalled_ms=0.0))
    loop = summarise([stalled(1), on_time, turn(3)]).event_loop
    assert (loop.turns, loop.stalled, loop.stalls, loop.stalled_ms) == (2, 1, 2, 120.0)
    assert loop.worst is not None
    assert (loop.worst.n, loop.worst.p50) == (2, 41.5)
    assert summarise([turn(1)]).event_loop.worst is None


def test_no_turns_are_no_error() -> None:
    figures = summarise([])
    assert figures.total is None
    assert figures.measure is None
    assert figures.endpoints.judged == 0
