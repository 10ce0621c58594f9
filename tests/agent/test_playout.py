"""Where push meets pull: every sample is counted, and played once."""

from __future__ import annotations

import anyio
import numpy as np
from anyio.abc import TaskStatus
from hypothesis import given
from hypothesis import strategies as st

from agent.history import Span, heard
from agent.line import FRAME, PLAYOUT_RATE
from agent.playout import FADE, LONGEST_AHEAD, ON_ITS_WAY, Playout, ReplyAudio
from stages.events import Samples, Word


class Mouth(Playout):
    """A playout that notes what it tells."""

    def __init__(self) -> None:
        self.told: list[str] = []
        super().__init__(
            started=lambda number: self.told.append(f"started {number}"),
            ended=lambda number: self.told.append(f"ended {number}"),
        )


def counted(samples: int, first: int = 1) -> Samples:
    """Return samples that say where they stand."""
    return np.arange(first, first + samples, dtype=np.float32)


async def ready(samples: int, number: int = 1, finished: bool = True) -> ReplyAudio:
    audio = ReplyAudio(number)
    await audio.push(counted(samples))
    audio.finished = finished
    return audio


# --- a reply --------------------------------------------------------------------------------


async def test_there_is_always_a_frame() -> None:
    frame = Mouth().pull()
    assert len(frame) == FRAME
    assert not frame.any()


async def test_a_reply_is_played_from_its_first_sample_to_its_last() -> None:
    mouth, audio = Mouth(), await ready(2 * FRAME + 100)
    mouth.play(audio)
    frames = [mouth.pull() for _ in range(4)]
    sound = np.concatenate(frames)
    np.testing.assert_array_equal(sound[: 2 * FRAME + 100], counted(2 * FRAME + 100))
    assert not sound[2 * FRAME + 100 :].any()
    assert mouth.told == ["started 1", "ended 1"]
    assert audio.played == audio.pushed
    assert mouth.underruns == 0


async def test_a_reply_starts_with_its_first_sample_not_with_its_release() -> None:
    mouth, audio = Mouth(), ReplyAudio(1)
    mouth.play(audio)
    mouth.pull()
    assert mouth.told == []
    await audio.push(counted(10))
    mouth.pull()
    assert mouth.told == ["started 1"]


async def test_a_reply_without_a_sound_ends_without_a_start() -> None:
    mouth, audio = Mouth(), await ready(0)
    mouth.play(audio)
    mouth.pull()
    mouth.pull()
    assert mouth.told == ["ended 1"]


async def test_a_voice_that_is_late_is_counted_and_fades_in_again() -> None:
    mouth, audio = Mouth(), await ready(FRAME, finished=False)
    mouth.play(audio)
    mouth.pull()
    mouth.pull()
    assert mouth.underruns == 1
    await audio.push(np.ones(2 * FRAME, dtype=np.float32))
    frame = mouth.pull()
    assert frame[0] == 0
    assert (np.diff(frame[:FADE]) > 0).all()
    assert (frame[FADE:] == 1).all()
    assert (mouth.pull() == 1).all()


# --- hold, go on, cut -----------------------------------------------------------------------


async def test_a_held_reply_fades_and_goes_on_from_where_it_was_heard_last() -> None:
    mouth, audio = Mouth(), await ready(10 * FRAME)
    mouth.play(audio)
    for _ in range(5):
        mouth.pull()
    mouth.hold()
    mouth.hold()
    fading = mouth.pull()
    heard = 5 * FRAME - ON_ITS_WAY
    assert audio.played == heard
    assert 0 < fading[FADE // 2] < 5 * FRAME + FADE
    assert not fading[FADE - 1 :].any()
    assert not mouth.pull().any()
    assert audio.played == heard
    mouth.go_on()
    again = mouth.pull()
    assert again[0] == 0
    np.testing.assert_array_equal(again[FADE:], counted(FRAME - FADE, heard + FADE + 1))
    assert audio.played == heard + FRAME
    assert mouth.underruns == 0
    assert mouth.told == ["started 1"]


async def test_a_reply_held_in_its_first_moments_begins_again_and_is_not_said_to_start_twice() -> (
    None
):
    mouth, audio = Mouth(), await ready(10 * FRAME)
    mouth.play(audio)
    mouth.pull()
    mouth.hold()
    mouth.pull()
    assert audio.played == 0
    mouth.go_on()
    np.testing.assert_array_equal(mouth.pull()[FADE:], counted(FRAME - FADE, FADE + 1))
    assert mouth.told == ["started 1"]


async def test_what_came_before_a_gap_in_the_voice_is_not_said_again() -> None:
    mouth, audio = Mouth(), await ready(3 * FRAME, finished=False)
    mouth.play(audio)
    for _ in range(5):
        mouth.pull()
    await audio.push(counted(5 * FRAME, 3 * FRAME + 1))
    mouth.pull()
    mouth.hold()
    mouth.pull()
    assert audio.played == 3 * FRAME


async def test_a_hold_between_two_frames_is_not_heard() -> None:
    mouth, audio = Mouth(), await ready(10 * FRAME)
    mouth.play(audio)
    mouth.pull()
    mouth.hold()
    mouth.go_on()
    np.testing.assert_array_equal(mouth.pull(), counted(FRAME, FRAME + 1))


async def test_a_reply_held_before_it_began_says_nothing_and_begins_whole() -> None:
    mouth, audio = Mouth(), await ready(10 * FRAME)
    mouth.play(audio)
    mouth.hold()
    assert not mouth.pull().any()
    assert (mouth.told, audio.played) == ([], 0)
    mouth.go_on()
    np.testing.assert_array_equal(mouth.pull(), counted(FRAME))
    assert mouth.told == ["started 1"]


async def test_a_held_reply_does_not_end_before_it_goes_on() -> None:
    mouth, audio = Mouth(), await ready(FRAME + 10)
    mouth.play(audio)
    mouth.pull()
    mouth.hold()
    mouth.pull()
    mouth.pull()
    assert mouth.told == ["started 1"]
    mouth.go_on()
    mouth.pull()
    mouth.pull()
    assert mouth.told == ["started 1", "ended 1"]


async def test_a_cut_reply_fades_out_is_counted_as_heard_and_never_ends() -> None:
    mouth, audio = Mouth(), await ready(10 * FRAME)
    mouth.play(audio)
    for _ in range(5):
        mouth.pull()
    mouth.cut(1)
    assert audio.played == 5 * FRAME - ON_ITS_WAY
    fading = mouth.pull()
    assert fading[0] == 5 * FRAME + 1
    assert not fading[FADE - 1 :].any()
    assert not mouth.pull().any()
    assert mouth.told == ["started 1"]


async def test_a_cut_before_the_first_sample_is_not_heard() -> None:
    mouth, audio = Mouth(), await ready(10 * FRAME)
    mouth.play(audio)
    mouth.cut(1)
    assert not mouth.pull().any()
    assert audio.played == 0


async def test_a_cut_of_another_reply_changes_nothing() -> None:
    mouth, audio = Mouth(), await ready(10 * FRAME)
    mouth.play(audio)
    mouth.cut(7)
    np.testing.assert_array_equal(mouth.pull(), counted(FRAME))


async def test_the_next_reply_follows_the_fading_of_the_last() -> None:
    mouth, old, new = Mouth(), await ready(10 * FRAME), await ready(FRAME, 2)
    mouth.play(old)
    mouth.pull()
    mouth.cut(1)
    mouth.play(new)
    frame = mouth.pull()
    assert frame[0] == FRAME + 1
    np.testing.assert_array_equal(frame[FADE:], counted(FRAME - FADE))
    np.testing.assert_array_equal(mouth.pull()[:FADE], counted(FADE, FRAME - FADE + 1))
    assert mouth.told == ["started 1", "started 2", "ended 2"]


# --- pushing --------------------------------------------------------------------------------


async def test_clauses_lie_where_their_audio_was_pushed() -> None:
    audio = ReplyAudio(1)
    audio.clause("One.")
    await audio.push(counted(100), (Word("One", 0, 90),))
    await audio.push(counted(50))
    audio.clause("Two.")
    await audio.push(counted(10))
    assert audio.spans == [Span("One.", 0, 150, (Word("One", 0, 90),)), Span("Two.", 150, 160)]


async def test_who_is_far_ahead_waits_until_some_was_played() -> None:
    audio, mouth = await ready(LONGEST_AHEAD + 1, finished=False), Mouth()
    mouth.play(audio)
    pushed = anyio.Event()

    async def push() -> None:
        await audio.push(counted(10))
        pushed.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(push)
        await anyio.wait_all_tasks_blocked()
        assert not pushed.is_set()
        mouth.pull()
        await pushed.wait()
    assert audio.pushed == LONGEST_AHEAD + 11


async def test_who_stops_waiting_has_pushed_nothing() -> None:
    audio = await ready(LONGEST_AHEAD + 1, finished=False)
    scope = anyio.CancelScope()

    async def push(*, task_status: TaskStatus[None]) -> None:
        with scope:
            task_status.started()
            await audio.push(counted(10))

    async with anyio.create_task_group() as tasks:
        await tasks.start(push)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
    assert audio.pushed == LONGEST_AHEAD + 1
    assert len(audio.take(PLAYOUT_RATE * 40)) == LONGEST_AHEAD + 1


# --- any order ------------------------------------------------------------------------------

STEPS = st.lists(
    st.sampled_from([1, 100, FRAME, 1000]) | st.sampled_from(["pull", "hold", "go on", "cut"]),
    max_size=60,
)


@given(STEPS)
async def test_whatever_happens_samples_come_in_order_and_none_is_left_out(
    steps: list[int | str],
) -> None:
    mouth, audio, cut = Mouth(), ReplyAudio(1), False
    mouth.play(audio)
    farthest = 0  # the last sample that was ever counted
    for step in [*steps, "finish", "go on", *["pull"] * (audio.pushed // FRAME + 400)]:
        match step:
            case int():
                await audio.push(counted(step, audio.pushed + 1))
            case "hold":
                mouth.hold()
            case "go on":
                mouth.go_on()
            case "finish":
                audio.finished = True
            case "cut":
                mouth.cut(1)
                cut = True
            case _:
                check(mouth.pull(), farthest)
        farthest = max(farthest, audio.played)
        assert audio.played <= audio.pushed
    assert mouth.told.count("started 1") == int(audio.begun)
    assert mouth.told.count("ended 1") == int(not cut or "ended 1" in mouth.told)
    assert audio.begun or not audio.played
    if not cut:
        assert audio.played == audio.pushed


@given(STEPS, st.sampled_from(["One.", "One two three four.", "你好。"]))
async def test_whether_a_word_was_heard_is_known_before_the_reply_is_cut(
    steps: list[int | str], text: str
) -> None:
    mouth, audio = Mouth(), ReplyAudio(1)
    mouth.play(audio)
    audio.clause(text)
    for step in steps:
        match step:
            case int():
                await audio.push(counted(step, audio.pushed + 1))
            case "hold":
                mouth.hold()
            case "go on":
                mouth.go_on()
            case _:
                mouth.pull()
    foretold = mouth.unheard(1)
    mouth.cut(1)
    assert foretold == (not heard(audio.spans, audio.played, complete=False))
    assert not mouth.unheard(1)  # it is no reply of ours any more


def check(frame: Samples, farthest: int) -> None:
    """Each stretch of sound goes on where the last one ended, or a little before."""
    assert len(frame) == FRAME
    assert (frame >= 0).all()
    plain = np.flatnonzero(frame[FADE:] > 0)
    if not len(plain):
        return
    first = int(frame[FADE:][plain[0]])
    np.testing.assert_array_equal(frame[FADE:][plain], counted(len(plain), first))
    assert farthest - ON_ITS_WAY - 2 * FADE <= first - FADE - 1 <= farthest + FADE
