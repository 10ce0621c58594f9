"""The scripted caller against a small agent, over WebRTC, and its parts by themselves."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from agent.caller import Manners, TurnResult, place
from agent.caller.clock import AgentClock
from agent.caller.ear import Ear
from agent.caller.follow import Follower
from agent.caller.mic import Mic, Utterance, speech_bounds
from agent.caller.sum_up import turn_result
from agent.errors import NotPossible
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
    ToPage,
    Trouble,
)
from agent.webrtc import sound
from stages.events import Samples
from tests.servers.tone_agent import ToneAgent, serving, tone

QUICK = Manners(settle=0.2, deadline=5.0)


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * PLAYOUT_RATE), dtype=np.float32)


def wav(folder: Path, samples: Samples, name: str = "beep.wav", rate: int = PLAYOUT_RATE) -> Path:
    file = folder / name
    sound.write(file, [(samples * 32_767).astype(np.int16)], rate)
    return file


@pytest.fixture
def beep(tmp_path: Path) -> Path:
    return wav(tmp_path, np.concatenate([tone(0.4), quiet(0.05)]))


# --- whole calls ---


async def test_a_call_of_two_turns_is_heard_measured_and_recorded(
    beep: Path, tmp_path: Path
) -> None:
    out, seen = tmp_path / "out", list[ToPage]()
    async with serving(ToneAgent(greeting=tone(0.2))) as agent:
        result = await place(
            agent.url, [beep, beep], out=out, on_message=seen.append, manners=QUICK
        )
        reports = agent.calls[0].reports
    assert (result.failures, result.greeting, result.profile) == ((), "Hello.", "tone")
    assert [turn.final for turn in result.turns] == ["Beep.", "Beep."]
    assert [turn.reply for turn in result.turns] == ["Toot.", "Toot."]
    assert [turn.timeline and turn.timeline["turn"] for turn in result.turns] == [1, 2]
    assert result.turns[0].partials == ("beep",)
    # The agent waits for 300 ms of silence: nobody can hear it sooner.
    assert all(turn.heard_ms is not None and turn.heard_ms > 300 for turn in result.turns)
    # What the caller told the agent, on the agent's clock, is what the result says.
    heard = [report for report in reports if isinstance(report, HeardReply) and report.turn]
    for turn, report in zip(result.turns, heard, strict=True):
        assert report.speech_end is not None
        assert report.heard - report.speech_end == pytest.approx(turn.heard_ms, abs=0.01)
    assert json.loads((out / "call.json").read_text())["turns"][1]["reply"] == "Toot."
    assert any(word.type == "transcript" for word in seen)


async def test_the_recording_lies_on_one_clock(beep: Path, tmp_path: Path) -> None:
    async with serving(ToneAgent()) as agent:
        result = await place(agent.url, [beep], out=tmp_path, manners=QUICK)
    with wave.open(str(tmp_path / "call.wav")) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, PLAYOUT_RATE)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    said = np.flatnonzero(np.abs(both[:, 0]) > 100)
    heard = np.flatnonzero(np.abs(both[:, 1]) > 100)
    gap = (heard[0] - said[-1]) * 1000 / PLAYOUT_RATE
    assert result.turns[0].heard_ms is not None
    # The recording goes by the fastest packet, the measurement by the one that came.
    assert 280 < gap <= result.turns[0].heard_ms + 1


async def test_an_interruption_is_timed_to_the_silence(beep: Path) -> None:
    barge_in = Manners(settle=0.2, deadline=5.0, barge_in=0.2)
    async with serving(ToneAgent(reply=tone(5.0))) as agent:
        agent.reply = tone(1.5)
        result = await place(agent.url, [beep, beep], manners=barge_in)
        reports = agent.calls[0].reports
    first, second = result.turns
    assert first.interrupted
    assert not second.interrupted
    assert second.silenced_ms is not None
    assert second.silenced_ms > 0
    silenced = [report for report in reports if isinstance(report, Silenced)]
    assert len(silenced) == 1
    assert silenced[0].speech_start is not None
    assert silenced[0].at - silenced[0].speech_start == pytest.approx(second.silenced_ms, abs=0.01)


async def test_an_agent_that_does_not_answer_fails_the_turn_with_a_sentence(beep: Path) -> None:
    async with serving(ToneAgent(mute=True)) as agent:
        result = await place(agent.url, [beep], manners=Manners(settle=0.1, deadline=1.0))
    assert result.failures == (
        "beep.wav: no whole reply within 1 s. The agent said: The agent has lost its tongue.",
    )
    assert result.turns[0].heard_ms is None


async def test_the_token_is_shown(beep: Path) -> None:
    async with serving(ToneAgent(token="s3cret")) as agent:
        with pytest.raises(NotPossible, match="refused the call with 401: The token is wrong"):
            await place(agent.url, [beep])
        result = await place(agent.url, [beep], token="s3cret", manners=QUICK)
    assert not result.failures


async def test_a_busy_agent_says_when_to_come_back(beep: Path) -> None:
    async with serving(ToneAgent(full=True)) as agent:
        with pytest.raises(NotPossible) as caught:
            await place(agent.url, [beep])
    assert str(caught.value) == (
        f"{agent.url} refused the call with 503: All lines are busy. (try again in 7 s)"
    )


async def test_nobody_at_the_url_is_a_sentence(beep: Path) -> None:
    with pytest.raises(NotPossible, match=r"There is no FirstWord agent at http://127\.0\.0\.1:9"):
        await place("http://127.0.0.1:9", [beep])


async def test_a_recording_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF, but not for long")
    with pytest.raises(NotPossible, match=r"broken\.wav cannot be read as sound: "):
        await place("http://127.0.0.1:9", [broken])
    with pytest.raises(NotPossible, match=r"There is no recording .*absent\.wav"):
        await place("http://127.0.0.1:9", [tmp_path / "absent.wav"])


# --- the recordings ---


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_recording_of_any_rate_keeps_its_length(tmp_path: Path, rate: int) -> None:
    file = wav(tmp_path, np.zeros(rate, dtype=np.float32), rate=rate)
    assert len(sound.read(file, PLAYOUT_RATE)) == pytest.approx(PLAYOUT_RATE, abs=40)


def test_human_speech_in_flac_is_read(speech: Path) -> None:
    file = next((speech / "dev" / "en_assistant").glob("*.flac"))
    assert np.abs(sound.read(file, PLAYOUT_RATE)).max() > 0.01


def test_speech_begins_and_ends_where_it_is_loud_to_the_sample() -> None:
    samples = np.concatenate([quiet(0.3), tone(0.5), quiet(0.2)])
    start, end = speech_bounds(samples)
    assert start == pytest.approx(0.3 * PLAYOUT_RATE, abs=2)
    assert end == pytest.approx(0.8 * PLAYOUT_RATE - 1, abs=2)


def test_noise_far_below_the_voice_is_no_speech() -> None:
    noise = np.random.default_rng(2).normal(0, 0.0005, PLAYOUT_RATE).astype(np.float32)
    noise[5_000:9_000] += tone(4_000 / PLAYOUT_RATE)
    start, end = speech_bounds(noise)
    assert start == pytest.approx(5_000, abs=3)
    assert end == pytest.approx(8_999, abs=3)


async def test_a_silent_recording_is_refused_before_the_call(tmp_path: Path) -> None:
    sound.write(tmp_path / "quiet.wav", [np.zeros(4800, np.int16)], PLAYOUT_RATE)
    with pytest.raises(NotPossible, match=r"quiet\.wav is silent from end to end"):
        await place("http://127.0.0.1:9", [tmp_path / "quiet.wav"])


def test_a_wav_that_was_cut_short_is_refused_and_says_by_how_much(tmp_path: Path) -> None:
    file = tmp_path / "cut.wav"
    sound.write(file, [np.ones(4800, np.int16)], PLAYOUT_RATE)
    file.write_bytes(file.read_bytes()[:-600])
    with pytest.raises(NotPossible, match="it is cut short, 9000 of 9600 bytes are there"):
        sound.read(file, PLAYOUT_RATE)


def test_a_wav_whose_writer_did_not_know_its_length_is_read(tmp_path: Path) -> None:
    file = tmp_path / "piped.wav"
    sound.write(file, [np.ones(4800, np.int16)], PLAYOUT_RATE)
    whole = file.read_bytes()
    file.write_bytes(whole[:40] + b"\xff\xff\xff\xff" + whole[44:])
    assert len(sound.read(file, PLAYOUT_RATE)) == 4800


def test_a_silent_recording_is_speech_as_a_whole() -> None:
    assert speech_bounds(quiet(0.1)) == (0, 2_399)


# --- the microphone ---


def spoken(mic: Mic, frames: int, *, first: int = 0, start: float = 10.0) -> None:
    for number in range(first, first + frames):
        mic.pull()
        due = start + number * 0.020
        mic.sent(number, due, due + 0.001)


def test_each_sample_has_its_time_on_the_grid() -> None:
    mic, utterance = Mic(), Utterance(Path(), tone(0.1))
    spoken(mic, 3)
    mic.speak(utterance)
    spoken(mic, 5, first=3)
    assert utterance.done.is_set()
    # Frame 3 is due at 10.06 and carries the 20 ms before.
    assert utterance.when(0) == pytest.approx(10.04)
    assert utterance.when(FRAME) == pytest.approx(10.06)
    assert mic.jitter[0] == pytest.approx(0.001)


def test_a_slip_of_the_grid_moves_the_samples_after_it() -> None:
    mic, utterance = Mic(), Utterance(Path(), tone(0.1))
    mic.speak(utterance)
    spoken(mic, 2)
    spoken(mic, 3, first=7)  # five frames were left out
    assert utterance.when(FRAME) == pytest.approx(10.0)
    assert utterance.when(2 * FRAME) == pytest.approx(10.12)
    assert len(mic.recorded()) == 10 * FRAME


def test_speaking_again_cuts_the_first_off() -> None:
    mic, first, second = Mic(), Utterance(Path(), tone(1.0)), Utterance(Path(), tone(0.02))
    mic.speak(first)
    spoken(mic, 2)
    mic.speak(second)
    assert first.done.is_set()
    spoken(mic, 1, first=2)
    assert second.done.is_set()


def test_noise_after_the_last_word_is_no_last_sound() -> None:
    hiss = np.random.default_rng(3).normal(0, 0.004, round(0.4 * PLAYOUT_RATE))
    samples = np.concatenate([hiss, tone(0.5), hiss]).astype(np.float32)

    utterance = Utterance(Path(), samples)

    assert utterance.speech_start / PLAYOUT_RATE == pytest.approx(0.4, abs=0.011)
    assert utterance.speech_end / PLAYOUT_RATE == pytest.approx(0.9, abs=0.011)


def test_a_sound_that_never_pauses_is_speech_from_end_to_end() -> None:
    samples = tone(0.5)
    utterance = Utterance(Path(), samples)
    assert utterance.speech_start < PLAYOUT_RATE // 1000
    assert utterance.speech_end > len(samples) - PLAYOUT_RATE // 1000


def test_where_speech_is_known_to_end_it_ends_there() -> None:
    utterance = Utterance(Path(), tone(0.5), known=(0.1, 0.3))
    assert utterance.speech_start == round(0.1 * PLAYOUT_RATE)
    assert utterance.speech_end == round(0.3 * PLAYOUT_RATE)
    assert Utterance(Path(), tone(0.5), known=(0.0, 9.0)).speech_end == len(tone(0.5)) - 1


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
    story.speak(np.concatenate([tone(0.5), quiet(1.0), tone(0.5)]), at=1.0)
    story.follow.word(Playing(turn=1, reply=1, at=2_000, speech_end=1_520), 2.001)
    story.hear(2.005, loud=True)
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
    story.speak(np.concatenate([tone(0.5), quiet(1.0), tone(0.5)]), at=1.0)
    story.follow.word(Playing(turn=1, reply=1, at=2_000, speech_end=1_520), 2.001)
    story.hear(2.005, loud=True)
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
