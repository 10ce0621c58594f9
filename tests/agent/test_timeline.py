"""A turn's time on one clock: its spans sum to what the caller waited."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.timeline import CUT_IN_MS, MARKS, SPANS, Lateness, Mark, Timeline, TurnRecord

AT = 5000.0  # the monotonic clock when the caller's speech ended, in seconds


def timeline(**marks_ms: float) -> Timeline:
    """Return a turn whose marks lie so many milliseconds after ``AT``."""
    turn = Timeline(call="c1", turn=3, profile="ada", started_at="2026-01-01T10:00:00+00:00")
    for name in MARKS:
        if name in marks_ms:
            turn.mark(name, AT + marks_ms[name] / 1000)
    return turn


def usual() -> Timeline:
    return timeline(
        speech_end=0,
        endpoint=200,
        asr_final=260,
        llm_first_token=340,
        llm_first_clause=400,
        tts_first_audio=430,
        playout_first=435,
    )


def test_a_turn_without_speculation_shows_each_stage_in_order() -> None:
    turn = usual()
    turn.ear(heard=AT + 0.500, uncertainty_ms=1.5)
    record = turn.record()
    assert list(record.spans) == [
        ("endpoint", 200),
        ("asr", 60),
        ("llm", 80),
        ("clause", 60),
        ("tts", 30),
        ("playout", 5),
        ("ear", 65),
    ]
    assert record.first_response_ms == 500
    assert record.residual_ms == 0
    assert record.heard_uncertainty_ms == 1.5
    assert (record.measured_from, record.measured_to) == ("speech_end", "heard")


def test_without_the_callers_ear_the_turn_ends_at_playout_and_says_so() -> None:
    record = usual().record()
    assert record.first_response_ms == 435
    assert record.measured_to == "playout_first"
    assert "heard" not in record.marks
    assert "ear" not in dict(record.spans)
    assert record.heard_uncertainty_ms is None


def test_the_callers_own_end_of_speech_is_the_truth() -> None:
    turn = usual()
    turn.ear(heard=AT + 0.500, speech_end=AT - 0.020)
    record = turn.record()
    assert record.speech_end_source == "caller"
    assert record.vad_error_ms == 20
    assert record.first_response_ms == 520
    assert dict(record.spans)["endpoint"] == 220
    assert record.marks["speech_end"] == 0


def test_the_vad_is_the_source_where_the_caller_cannot_tell() -> None:
    turn = usual()
    turn.ear(heard=AT + 0.500)
    record = turn.record()
    assert record.speech_end_source == "vad"
    assert record.vad_error_ms is None


def test_work_before_the_endpoint_costs_nothing_and_is_counted_as_hidden() -> None:
    turn = timeline(
        speech_end=0,
        endpoint=200,
        asr_final=130,
        llm_first_token=180,
        llm_first_clause=230,
        tts_first_audio=260,
        playout_first=262,
    )
    turn.guess(AT + 0.096)
    turn.guess_used()
    record = turn.record()
    assert dict(record.spans) == {
        "endpoint": 200,
        "asr": 0,
        "llm": 0,
        "clause": 30,
        "tts": 30,
        "playout": 2,
    }
    assert record.hidden == {"asr": 34, "llm": 50, "clause": 20}
    assert record.speculation is not None
    assert record.speculation.hit
    assert record.speculation.started_ms_before_endpoint == 104
    assert record.speculation.saved_ms == 104


def test_audio_that_lay_ready_at_the_endpoint_hides_everything() -> None:
    turn = timeline(
        speech_end=0,
        endpoint=300,
        asr_final=130,
        llm_first_token=180,
        llm_first_clause=220,
        tts_first_audio=250,
        playout_first=301,
    )
    turn.guess(AT + 0.1)
    turn.guess_used()
    record = turn.record()
    assert record.hidden == {"asr": 30, "llm": 50, "clause": 40, "tts": 30}
    assert record.speculation is not None
    assert record.speculation.saved_ms == 150
    assert dict(record.spans)["playout"] == 1


def test_a_dropped_guess_leaves_its_count_and_none_of_its_marks() -> None:
    turn = timeline(asr_final=-500, llm_first_token=-400)
    turn.guess(AT - 0.6)
    turn.guess_dropped(tokens=7)
    turn.mark("speech_end", AT)
    turn.mark("endpoint", AT + 0.2)
    turn.mark("asr_final", AT + 0.25)
    turn.mark("playout_first", AT + 0.5)
    record = turn.record()
    assert record.marks["asr_final"] == 250
    assert "llm_first_token" not in record.marks
    assert record.hidden == {}
    assert record.speculation is not None
    assert (record.speculation.tries, record.speculation.hit) == (1, False)
    assert record.speculation.tokens_wasted == 7
    assert record.speculation.saved_ms == 0
    assert record.speculation.started_ms_before_endpoint is None


def test_a_prepared_reply_that_was_released_and_never_sounded_is_no_hit() -> None:
    turn = timeline(speech_end=0, asr_final=50, llm_first_token=60, endpoint=200)
    turn.guess(AT + 0.05)
    turn.guess_used()
    turn.unheard(tokens=9)
    record = turn.record()
    assert record.speculation is not None
    assert (record.speculation.tries, record.speculation.hit) == (1, False)
    assert record.speculation.tokens_wasted == 9
    assert (record.speculation.saved_ms, record.hidden) == (0, {})
    assert record.marks["llm_first_token"] == 60  # where it came, it came


def test_a_reply_that_was_not_prepared_wastes_no_guess() -> None:
    turn = timeline(speech_end=0, endpoint=200, llm_first_token=260)
    turn.unheard(tokens=9)
    assert turn.record().speculation is None


def test_a_reply_that_has_not_sounded_yet_is_no_hit_yet() -> None:
    turn = timeline(speech_end=0, llm_first_token=60, endpoint=200)
    turn.guess(AT + 0.05)
    turn.guess_used()
    for hit in (False, True):
        record = turn.record()
        assert record.speculation is not None
        assert (record.speculation.hit, bool(record.hidden)) == (hit, hit)
        turn.mark("playout_first", AT + 0.21)


def test_typed_text_begins_at_the_endpoint() -> None:
    turn = timeline(endpoint=0, llm_first_token=80, tts_first_audio=120, playout_first=121)
    record = turn.record()
    assert record.measured_from == "endpoint"
    assert record.speech_end_source is None
    assert list(record.spans) == [("llm", 80), ("tts", 40), ("playout", 1)]
    assert record.first_response_ms == 121


def test_a_greeting_begins_at_its_first_mark() -> None:
    record = timeline(llm_first_clause=10, tts_first_audio=40, playout_first=45).record()
    assert record.measured_from == "llm_first_clause"
    assert list(record.spans) == [("tts", 30), ("playout", 5)]


def test_a_turn_that_failed_shows_how_far_it_came_and_no_total() -> None:
    turn = timeline(speech_end=0, endpoint=200, asr_final=260)
    turn.error = "llm openai: no first token within 8 s"
    record = turn.record()
    assert record.first_response_ms is None
    assert record.measured_to is None
    assert list(record.spans) == [("endpoint", 200), ("asr", 60)]
    assert record.error == "llm openai: no first token within 8 s"


def test_an_empty_turn_has_a_record_too() -> None:
    record = timeline().record()
    assert not record.spans
    assert record.marks == {}
    assert record.measured_from is None


def test_a_reply_heard_before_it_was_played_shows_as_residual() -> None:
    turn = usual()
    turn.ear(heard=AT + 0.433)
    record = turn.record()
    assert record.first_response_ms == 433
    assert dict(record.spans)["residual"] == -2
    assert record.residual_ms == -2
    assert math.isclose(sum(ms for _, ms in record.spans), 433)


def test_the_first_to_mark_wins() -> None:
    turn = usual()
    turn.mark("endpoint", AT + 9)
    turn.ear(heard=AT + 0.5)
    turn.ear(heard=AT + 7)
    assert turn.record().marks["endpoint"] == 200
    assert turn.record().marks["heard"] == 500


def test_an_interruption_has_its_own_span() -> None:
    turn = usual()
    turn.interrupted = True
    turn.barge_in(speech_start=AT + 2.0, silent=AT + 2.15)
    record = turn.record()
    assert record.interrupted
    assert record.barge_in_ms == 150


def test_a_reply_that_was_silent_before_it_was_talked_over_took_no_time() -> None:
    turn = usual()
    turn.interrupted = True
    turn.barge_in(speech_start=AT + 2.15, silent=AT + 2.0)  # it was held by a breath before
    assert turn.record().barge_in_ms == 0


def test_a_caller_who_goes_on_at_once_over_a_reply_that_sounds_was_cut_into() -> None:
    turn = usual()
    turn.interrupted = True
    turn.interruption(AT + 0.7)
    record = turn.record()
    assert record.interrupted_after_ms == 700
    assert record.cut_in


def test_it_counts_from_the_callers_own_last_sound_where_that_is_known() -> None:
    turn = usual()
    turn.ear(heard=AT + 0.5, speech_end=AT - 0.4)
    turn.interruption(AT + 0.7)
    record = turn.record()
    assert record.interrupted_after_ms == pytest.approx(1100)
    assert not record.cut_in


def test_a_caller_who_was_done_and_interrupts_later_was_not_cut_into() -> None:
    turn = usual()
    turn.interruption(AT + CUT_IN_MS / 1000)
    assert not turn.record().cut_in


def test_nobody_hears_a_reply_that_was_stopped_before_its_first_sound() -> None:
    turn = timeline(speech_end=0, endpoint=200, llm_first_token=300)
    turn.interruption(AT + 0.4)
    assert turn.record().interrupted_after_ms == 400
    assert not turn.record().cut_in


def test_what_interrupts_the_answer_to_typed_words_cuts_into_nothing() -> None:
    turn = timeline(endpoint=0, llm_first_token=100, playout_first=200)
    turn.interruption(AT + 0.4)
    assert turn.record().interrupted_after_ms is None
    assert not turn.record().cut_in


def test_a_record_from_before_interruptions_were_placed_still_reads() -> None:
    shown = usual().record().to_dict()
    del shown["interrupted_after_ms"]
    assert TurnRecord.from_dict(shown).interrupted_after_ms is None


def test_a_record_from_before_the_end_of_the_line_was_told_apart_still_reads() -> None:
    turn = usual()
    turn.interrupted = turn.line_ended = True
    shown = turn.record().to_dict()
    assert shown.pop("line_ended")
    assert not TurnRecord.from_dict(shown).line_ended


def test_how_late_the_event_loop_was_is_asked_of_the_wait_alone() -> None:
    asked: list[tuple[float, float]] = []

    def late(begin: float, end: float) -> Lateness:
        asked.append((begin, end))
        return Lateness(worst_ms=80.0, stalls=1, stalled_ms=80.0)

    turn = usual()
    turn.late = late
    assert turn.record().event_loop == Lateness(80.0, 1, 80.0)
    turn.ear(heard=AT + 0.5, speech_end=AT - 0.03)
    turn.record()
    assert asked == [(AT, AT + 0.435), (AT - 0.03, AT + 0.5)]


def test_a_turn_without_a_sound_asks_about_the_way_it_came() -> None:
    asked: list[float] = []
    turn = timeline(speech_end=0, endpoint=200, asr_final=260)
    turn.late = lambda begin, end: asked.append(end - begin)
    assert turn.record().event_loop is None
    assert asked == [pytest.approx(0.26)]


def test_a_record_from_before_the_event_loop_was_watched_still_reads() -> None:
    shown = usual().record().to_dict()
    del shown["event_loop"], shown["cut_in"]
    assert TurnRecord.from_dict(shown) == usual().record()


def test_a_stranger_is_no_record() -> None:
    with pytest.raises(ValidationError):
        TurnRecord.from_dict({"call": "c1"})


def test_keys_of_a_later_version_are_ignored() -> None:
    record = usual().record()
    assert TurnRecord.from_dict({**record.to_dict(), "mood": "good"}) == record


times = st.floats(min_value=-2.0, max_value=30.0, allow_nan=False)
some_marks = st.dictionaries(st.sampled_from(MARKS), times)
maybe = st.none() | times


@st.composite
def turns(draw: st.DrawFn) -> Timeline:
    turn = Timeline(call="c", turn=1, profile="p", stages={"asr": "moonshine"})
    names: list[Mark] = list(draw(some_marks))
    for name in names:
        turn.mark(name, draw(st.floats(0, 1e6)) if draw(st.booleans()) else AT + draw(times))
    if (guess := draw(maybe)) is not None:
        turn.guess(AT + guess)
        if draw(st.booleans()):
            turn.guess_used()
    if draw(st.booleans()):
        end = draw(maybe)
        turn.ear(AT + draw(times), None if end is None else AT + end, draw(st.floats(0, 50)))
    return turn


@given(turns())
def test_whatever_was_marked_the_spans_sum_to_the_whole(turn: Timeline) -> None:
    record = turn.record()
    if record.first_response_ms is not None:
        assert abs(sum(ms for _, ms in record.spans) - record.first_response_ms) < 1e-6
    assert all(ms >= 0 for name, ms in record.spans if name != "residual")
    order = [name for name, _ in record.spans if name != "residual"]
    assert order == [name for name in SPANS.values() if name in order]


@given(turns())
def test_what_was_hidden_is_never_more_than_the_head_start(turn: Timeline) -> None:
    record = turn.record()
    assert all(ms > 0 for ms in record.hidden.values())
    if record.speculation is not None and record.speculation.started_ms_before_endpoint is not None:
        start = max(0.0, record.speculation.started_ms_before_endpoint)
        assert record.speculation.saved_ms <= start + 0.002


@given(turns())
def test_a_record_comes_back_whole_from_json(turn: Timeline) -> None:
    record = turn.record()
    assert TurnRecord.from_dict(json.loads(json.dumps(record.to_dict(), allow_nan=False))) == record
