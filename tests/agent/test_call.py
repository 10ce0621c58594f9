"""Whole calls on stages without models, over a line without a wire."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import monotonic

import anyio
import pytest

from agent.bench.memory_line import MemoryLine
from agent.engines import Mouth, Stages
from agent.messages import (
    Flush,
    HangUp,
    Heard,
    HeardReply,
    Playing,
    Reply,
    ReplyEnd,
    Say,
    Silenced,
    TimelineWord,
    Welcome,
)
from agent.timeline import Lateness
from stages.audio import silence
from stages.events import Voice
from tests.agent.calling import PACE_S, Page, Running, calling, tone
from tests.agent.speaking import Mind, Voiced

STORY = "tell me a very long story about the sea and its ships"


async def greeted(running: Running) -> None:
    await running.page.wait_for(ReplyEnd)


# --- turns ----------------------------------------------------------------------------------


async def test_a_spoken_turn_is_answered_and_recorded(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        running.line.say(tone(1.0))
        end = await running.page.wait_for(ReplyEnd, 2)
    assert not end.interrupted
    [final] = [message for message in running.page.all(Heard) if message.final]
    assert final.text in end.heard
    [record] = running.records
    assert record.user_text == final.text
    assert record.first_response_ms is not None
    assert abs(sum(ms for _, ms in record.spans) - record.first_response_ms) < 1e-6


async def test_a_guess_that_was_wrong_is_never_shown(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        running.line.say(tone(0.6))
        running.line.say(silence(3200))
        running.line.say(tone(0.6))
        end = await running.page.wait_for(ReplyEnd, 2)
    [record] = running.records
    assert record.speculation is not None
    assert (record.speculation.tries, record.speculation.hit) == (2, True)
    shown = {message.reply for message in running.page.all(Reply) if message.turn}
    assert shown == {end.reply}
    assert [message.role for message in running.call.history] == ["assistant", "user", "assistant"]


async def test_a_prepared_reply_that_was_cut_off_before_its_first_sound_is_a_miss(
    tmp_path: Path,
) -> None:
    mind = Mind(("Once", " upon"), hangs=True)  # never comes to a clause
    async with calling(tmp_path, change=lambda stages: replace(stages, llm=mind)) as running:
        await greeted(running)
        running.line.say(tone(0.6))
        while not any(word.final for word in running.page.all(Heard)):  # its reply is released
            await running.page.wait_for(Heard, len(running.page.all(Heard)) + 1)
        running.line.say(tone(1.2))
        end = await running.page.wait_for(ReplyEnd, 2)
        assert (end.interrupted, end.heard) == (True, "")
        records = await running.recorded(1)
    guess = records[0].speculation
    assert guess is not None
    assert (guess.tries, guess.hit, guess.tokens_wasted) == (1, False, 2)


async def test_typed_words_are_answered_without_speech(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        running.line.write(Say(text="good morning"))
        end = await running.page.wait_for(ReplyEnd, 2)
    assert "good morning" in end.heard


async def test_speech_over_a_reply_ends_it_where_it_was_heard(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        running.line.write(Say(text=STORY))
        await running.page.wait_for(Playing, 2)
        running.line.say(tone(1.2))
        end = await running.page.wait_for(ReplyEnd, 2)
        assert end.interrupted
        assert f"You said: {STORY}".startswith(end.heard)
        assert len(end.heard) < len(STORY)
        assert [m.content for m in running.call.history][:3] == [
            "Hello, this is a test call.", STORY, end.heard
        ][: 3 if end.heard else 2]  # fmt: skip


async def test_where_the_caller_went_on_is_in_the_record(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        running.line.say(tone(0.5))
        playing = await running.page.wait_for(Playing, 2)
        running.line.say(tone(1.2))
        flush = await running.page.wait_for(Flush)
        assert flush.speech_start is not None
        assert playing.speech_end is not None
        [record] = await running.recorded(1)
    went_on = flush.speech_start - playing.speech_end
    assert went_on > 0
    assert record.interrupted_after_ms == pytest.approx(went_on, abs=0.01)


async def test_how_late_the_event_loop_was_in_the_wait_is_in_the_record(tmp_path: Path) -> None:
    asked: list[tuple[float, float]] = []

    def late(begin: float, end: float) -> Lateness:
        asked.append((begin, end))
        return Lateness(worst_ms=70.0, stalls=1, stalled_ms=70.0)

    async with calling(tmp_path) as running:
        running.call.late = late
        await greeted(running)
        running.line.say(tone(1.0))
        playing = await running.page.wait_for(Playing, 2)
        shown = await running.page.wait_for(TimelineWord)
        [record] = await running.recorded(1)
    assert record.event_loop == Lateness(70.0, 1, 70.0)
    assert shown.record["event_loop"] == {"worst_ms": 70.0, "stalls": 1, "stalled_ms": 70.0}
    assert playing.speech_end is not None
    assert asked[-1] == pytest.approx((playing.speech_end / 1000, playing.at / 1000), abs=1e-5)


async def test_two_calls_at_once_never_meet(tmp_path: Path) -> None:
    async with calling(tmp_path) as one, calling(tmp_path) as other:
        for running, word in ((one, "apples"), (other, "pears")):
            running.line.write(Say(text=f"I like {word}"))
        ends = [await running.page.wait_for(ReplyEnd, 2) for running in (one, other)]
    assert "apples" in ends[0].heard
    assert "pears" in ends[1].heard
    for running, foreign in ((one, "pears"), (other, "apples")):
        assert foreign not in str(running.page.messages)
        assert foreign not in str(list(running.call.history))
        assert foreign not in str(running.records)


# --- the caller's ear -----------------------------------------------------------------------


async def test_what_the_ear_reports_is_in_the_record(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        running.line.say(tone(1.0))
        playing = await running.page.wait_for(Playing, 2)
        assert playing.speech_end is not None
        report = HeardReply(
            turn=1, reply=playing.reply, heard=playing.at + 40,
            speech_end=playing.speech_end - 10, uncertainty=2.0,
        )  # fmt: skip
        running.line.write(report)
        await running.page.wait_for(ReplyEnd, 2)
        [record] = await running.recorded(1)
    assert record.measured_to == "heard"
    assert record.speech_end_source == "caller"
    assert record.first_response_ms == pytest.approx(
        report.heard - (playing.speech_end - 10), abs=0.01
    )
    assert record.vad_error_ms == pytest.approx(10)
    assert dict(record.spans)["ear"] == pytest.approx(40, abs=0.01)


async def test_the_silence_after_an_interruption_is_in_the_record(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        running.line.write(Say(text=STORY))
        await running.page.wait_for(Playing, 2)
        running.line.say(tone(1.2))
        flush = await running.page.wait_for(Flush)
        assert flush.speech_start is not None
        start = flush.speech_start
        running.line.write(
            Silenced(turn=1, reply=flush.reply, at=start + 150, speech_start=start)
        )
        records = await running.recorded(1)
    assert records[0].interrupted
    assert records[0].barge_in_ms == pytest.approx(150)


async def test_reports_of_replies_that_never_were_change_nothing(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        running.line.write(HeardReply(turn=9, reply=99, heard=1.0))
        running.line.write(Silenced(turn=9, reply=99, at=1.0, speech_start=0.5))
        running.line.write(Say(text="still there?"))
        await running.page.wait_for(ReplyEnd, 2)


# --- the end --------------------------------------------------------------------------------


async def test_a_caller_who_hangs_up_ends_the_call(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        running.line.write(HangUp())
        await running.end()


async def test_a_record_is_kept_though_the_call_ends_early(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        running.line.write(Say(text=STORY))
        await running.page.wait_for(Playing)
        await running.call.hang_up("enough")
        await running.end()
        [record] = running.records
    assert record.user_text == STORY
    assert (record.interrupted, record.line_ended) == (True, True)


@pytest.mark.parametrize("goes", ["by hanging up", "lost"])
async def test_a_caller_who_goes_in_the_middle_of_a_reply_interrupts_nothing(
    tmp_path: Path, goes: str
) -> None:
    async with calling(tmp_path) as running:
        running.call.come_back_s = 0
        await greeted(running)
        running.line.write(Say(text=STORY))
        await running.page.wait_for(Playing, 2)
        running.line.write(Say(text=STORY))  # this does
        await running.page.wait_for(Playing, 3)
        if goes == "lost":
            running.line.leave()
        else:
            running.line.write(HangUp())
        await running.end()
        ends = {record.turn: record.line_ended for record in running.records if record.interrupted}
    assert ends == {1: False, 2: True}


@pytest.mark.parametrize("stuck", ["llm", "tts"])
async def test_hanging_up_while_a_reply_is_made_leaves_nothing_behind(
    tmp_path: Path, stuck: str
) -> None:
    mind, voice = Mind(("One. ",), hangs=True), Voiced(0)

    def change(stages: Stages) -> Stages:
        if stuck == "llm":
            return replace(stages, llm=mind)
        return replace(stages, llm=mind, mouths=(Mouth("stuck", voice, Voice()),))

    before = len(anyio.get_running_tasks())
    async with calling(tmp_path, change=change) as running:
        running.line.write(Say(text="hello"))
        with anyio.fail_after(10):
            await mind.said.wait()
            if stuck == "tts":
                await voice.silent.wait()
        await running.call.hang_up("enough")
        await running.end()
        assert mind.closed.is_set()
    assert len(anyio.get_running_tasks()) == before
    assert [record.user_text for record in running.records] == ["hello"]


async def test_words_typed_as_the_caller_leaves_harm_nobody(tmp_path: Path) -> None:
    async with calling(tmp_path, come_back_s=0.01) as running:
        await greeted(running)
        running.line.say(tone(2.0))
        await running.page.wait_for(Heard)  # an utterance is open now
        running.line.write(Say(text="bye"))
        running.line.leave()
        await running.end()


async def test_a_server_that_stops_lets_the_reply_end(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        running.line.write(Say(text="how are you"))
        await running.page.wait_for(Playing)
        with anyio.fail_after(15):
            await running.call.drain()
        await running.end()
    assert [end.interrupted for end in running.page.all(ReplyEnd)][-1] is False


async def test_a_server_that_stops_ends_an_idle_call_at_once(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        await running.call.drain()
        await running.end()


# --- lost and found -------------------------------------------------------------------------


class Ear(MemoryLine):
    """A line that tells when so many more frames have come out of it."""

    _frame: anyio.Event

    async def heard_more(self, frames: int) -> None:
        """Wait until the caller has heard so much more, sound or silence."""
        wanted = len(self.heard) + frames
        while len(self.heard) < wanted:
            self._frame = anyio.Event()
            await self._frame.wait()

    async def _tick(self) -> None:
        await super()._tick()
        if hasattr(self, "_frame"):
            self._frame.set()


async def test_a_lost_caller_comes_back_to_the_same_conversation(tmp_path: Path) -> None:
    async with calling(tmp_path, line=Ear) as running:
        await greeted(running)
        ear = running.line
        assert isinstance(ear, Ear)
        running.line.write(Say(text=STORY))
        await running.page.wait_for(Playing, 2)
        await ear.heard_more(10)
        running.line.leave()
        lost = await running.page.wait_for(ReplyEnd, 2)
        assert lost.interrupted
        assert len(lost.heard) < len(STORY)

        page = Page()
        await running.call.connect(MemoryLine(page.take, pace=PACE_S))
        welcome = await page.wait_for(Welcome)
        assert (welcome.call, welcome.session) == ("test", "session")
        line = running.call.line
        assert isinstance(line, MemoryLine)
        line.write(Say(text="and now?"))
        end = await page.wait_for(ReplyEnd)
        assert (end.turn, end.reply) == (2, 3)  # the greeting was 1, the story 2
        told = [message.content for message in running.call.history]
        assert told[0] == "Hello, this is a test call."
        assert STORY in told[1]
        assert "and now?" in end.heard
        await running.recorded(1)
    assert [record.turn for record in running.records] == [1, 2]


async def test_a_caller_may_move_to_another_line(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await greeted(running)
        page = Page()
        line = MemoryLine(page.take, pace=PACE_S)
        await running.call.connect(line)
        await page.wait_for(Welcome)
        line.write(Say(text="here I am"))
        assert "here I am" in (await page.wait_for(ReplyEnd)).heard


async def test_a_caller_who_does_not_come_back_is_gone(tmp_path: Path) -> None:
    async with calling(tmp_path, come_back_s=0.05) as running:
        await greeted(running)
        running.line.leave()
        await running.end()
        late = MemoryLine()
        await running.call.connect(late)
        with anyio.fail_after(5):
            await late.run()  # it was closed
        await late.audio.aclose()
        await late.inbox.aclose()


async def test_the_record_of_a_turn_is_timed_on_one_clock(tmp_path: Path) -> None:
    begun = monotonic() * 1000
    async with calling(tmp_path) as running:
        running.line.say(tone(1.0))
        playing = await running.page.wait_for(Playing, 2)
    assert begun < playing.at < monotonic() * 1000
