"""What the scripted caller hears and reports, on the agent's clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.caller import TurnResult
from agent.caller.clock import AgentClock
from agent.caller.ear import Ear
from agent.caller.follow import Follower
from agent.caller.mic import Mic, Utterance
from agent.caller.sum_up import turn_result
from agent.line import FRAME, PLAYOUT_RATE
from agent.messages import (
    Flush,
    FromPage,
    HeardReply,
    Playing,
    Pong,
    ReplyEnd,
    Silenced,
    TimelineWord,
    Trouble,
)
from stages.events import Samples
from tests.agent.caller.sounds import quiet, spoken
from tests.servers.tone_agent import tone

# --- the clock and the ear ---


def test_the_fastest_ping_sets_the_clock() -> None:
    clock = AgentClock()
    assert not clock.known
    clock.saw(Pong(t0=1_000, t1=501_030, t2=501_040), 1.090)  # 40 ms too late on the way there
    clock.saw(Pong(t0=2_000, t1=502_001, t2=502_003), 2.004)
    clock.saw(Pong(t0=3_000, t1=503_050, t2=503_050), 3.060)
    assert clock.round_trip == pytest.approx(2.0)
    assert clock.uncertainty == pytest.approx(1.0)
    assert clock.to_agent(10.0) == pytest.approx(510_000)
    assert clock.to_ours(510_000) == pytest.approx(10.0)


def test_the_ear_finds_the_first_audible_sample_within_its_packet() -> None:
    ear = Ear(lambda: None)
    frame = quiet(0.02)
    ear.hear(frame, 0, 1.00)
    assert ear.first_since(0.0) is None
    loud = frame.copy()
    loud[120:240] = 0.1
    ear.hear(loud, FRAME, 1.02)
    assert ear.first_since(0.0) == pytest.approx(1.02 + 120 / PLAYOUT_RATE)
    assert ear.last == pytest.approx(1.02 + 240 / PLAYOUT_RATE)
    assert ear.first_since(1.03) is None


# --- what is reported ---


class Story:
    """A follower, an ear and a utterance, moved along by hand on one clock."""

    def __init__(self) -> None:
        self.ear = Ear(lambda: None)
        self.told: list[FromPage] = []
        self.follow = Follower(self.ear, self.told.append)
        self.follow.word(Pong(t0=0, t1=0, t2=0), 0.0)  # both clocks are the same
        self.mic = Mic()
        self.place = 0

    def speak(self, samples: Samples, at: float) -> Utterance:
        utterance = Utterance(Path("u.wav"), samples)
        self.follow.spoke(utterance)
        self.mic.speak(utterance)
        spoken(self.mic, -(-len(samples) // FRAME), start=at + 0.02)
        return utterance

    def is_answered_in_the_middle_of_a_recording(self) -> None:
        self.speak(np.concatenate([tone(0.5), quiet(1.0), tone(0.5)]), at=1.0)
        self.follow.word(Playing(turn=1, reply=1, at=2_000, speech_end=1_520), 2.001)
        self.hear(2.005, loud=True)

    def hear(self, at: float, *, loud: bool) -> None:
        samples = np.full(FRAME, 0.1 if loud else 0.0, dtype=np.float32)
        self.ear.hear(samples, self.place, at)
        self.place += FRAME
        self.follow.look(at)


def test_sound_that_overtakes_its_word_is_still_heard() -> None:
    story = Story()
    story.speak(tone(0.5), at=1.0)
    story.hear(1.803, loud=True)
    story.follow.word(Playing(turn=1, reply=1, at=1_800, speech_end=1_510), 1.805)
    (report,) = story.told
    assert isinstance(report, HeardReply)
    assert (report.turn, report.reply) == (1, 1)
    assert report.heard == pytest.approx(1_803)
    assert report.speech_end == pytest.approx(1_500, abs=1)


def test_a_reply_in_the_middle_of_a_recording_answers_the_part_before_it() -> None:
    story = Story()
    story.is_answered_in_the_middle_of_a_recording()
    (report,) = story.told
    assert isinstance(report, HeardReply)
    assert report.speech_end == pytest.approx(1_500, abs=6)


def test_a_reply_that_was_cut_is_silent_when_the_last_sample_was_heard() -> None:
    story = Story()
    story.follow.word(Playing(turn=1, reply=1, at=900), 0.9)
    story.hear(1.00, loud=True)
    story.speak(tone(0.1), at=0.95)
    story.follow.word(Flush(turn=1, reply=1), 1.01)
    story.hear(1.02, loud=True)
    story.hear(1.04, loud=False)
    story.hear(1.30, loud=False)
    report = story.told[-1]
    assert isinstance(report, Silenced)
    assert report.at == pytest.approx(1_040)
    assert report.speech_start == pytest.approx(950, abs=1)


def test_a_recording_that_goes_on_over_a_reply_did_not_begin_with_the_interruption() -> None:
    story = Story()
    story.is_answered_in_the_middle_of_a_recording()
    story.follow.word(Flush(turn=1, reply=1), 2.6)
    story.hear(2.62, loud=False)
    story.hear(2.90, loud=False)
    report = story.told[-1]
    assert isinstance(report, Silenced)
    assert report.speech_start is None


def test_a_reply_that_nobody_heard_is_not_reported() -> None:
    story = Story()
    story.follow.word(Playing(turn=1, reply=1, at=900), 0.9)
    story.follow.word(ReplyEnd(turn=1, reply=1, heard="", interrupted=True), 0.95)
    story.hear(1.0, loud=True)
    assert story.told == []


def test_what_the_agent_cannot_do_is_kept_with_the_turn() -> None:
    story = Story()
    story.follow.word(Trouble(sentence="No voice today."), 0.1)
    story.speak(tone(0.1), at=1.0)
    story.follow.word(Trouble(sentence="Still none."), 1.2)
    assert story.follow.troubles == ["No voice today."]
    assert story.follow.spoken[0].troubles == ["Still none."]


def test_the_record_of_a_reply_that_was_cut_off_outlives_the_one_that_followed() -> None:
    story = Story()
    story.speak(np.full(FRAME, 0.1, np.float32), at=0.0)
    for reply, text in ((1, "shown first"), (1, "shown again"), (2, "the answer")):
        record = {"turn": 1, "reply": reply, "reply_text": text}
        story.follow.word(TimelineWord(turn=1, record=record), 0.5)
    assert [each["reply_text"] for each in story.follow.all_records] == [
        "shown again",
        "the answer",
    ]
    assert turn_result(story.follow, 0).timeline is None  # nothing was told of a reply to it


def test_a_turn_is_plain_data() -> None:
    names = set(TurnResult.__dataclass_fields__)
    assert {"partials", "final", "reply", "heard_ms", "marks", "timeline", "failure"} <= names


def test_a_turn_whose_reply_is_an_apology_has_failed() -> None:
    story = Story()
    story.speak(np.full(FRAME, 0.1, np.float32), at=0.0)
    story.follow.spoken[0].turn = 1
    story.follow.records[1] = {"error": "llm openai: no connection to 127.0.0.1:9"}
    failure = turn_result(story.follow, 0).failure
    assert failure == "u.wav: the agent failed: llm openai: no connection to 127.0.0.1:9."
