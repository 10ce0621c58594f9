"""The agent's own voice in the microphone, and other people's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.bench.memory_line import PIECE, MemoryLine
from agent.echo import EchoGuard, repeats
from agent.engines import Mouth, Stages
from agent.line import FRAME, PLAYOUT_RATE
from agent.messages import HoldWord, Playing, ReplyEnd, Say
from stages.audio import samples_in, silence
from stages.contracts import Sink, Source
from stages.events import SAMPLE_RATE, Clause, Samples, Speech, Voice
from tests.agent.calling import calling

HEARD = 512


def voice(seconds: float, seed: int, rate: int = PLAYOUT_RATE) -> Samples:
    """Syllables of noise, each with a colour of its own: two seeds are two speakers."""
    chance = np.random.default_rng(seed)
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < seconds * rate:
        length = int(chance.integers(rate // 12, rate // 5))
        at = np.arange(length) / rate
        tones = [np.sin(2 * np.pi * chance.uniform(200, 3500) * at) for _ in range(5)]
        shape = np.hanning(length) * chance.uniform(0.3, 1)
        pieces += [(0.1 * shape * np.sum(tones, axis=0)).astype(np.float32), silence(rate // 25)]
    return np.concatenate(pieces)[: round(seconds * rate)]


def came_back(played: Samples, late_ms: float, level_db: float) -> Samples:
    """Return what a microphone hears of the loudspeaker."""
    count = len(played) * SAMPLE_RATE // PLAYOUT_RATE
    places = np.arange(count) * PLAYOUT_RATE / SAMPLE_RATE
    there = np.interp(places, np.arange(len(played)), played) * 10 ** (level_db / 20)
    return np.concatenate([silence(samples_in(late_ms)), there.astype(np.float32)])[:count]


def judged(guard: EchoGuard, played: Samples, microphone: Samples) -> list[float]:
    """Return what the guard leaves of a VAD that is always sure."""
    left, given = [], 0
    for at in range(0, len(microphone) - HEARD + 1, HEARD):
        while given * SAMPLE_RATE < (at + HEARD) * PLAYOUT_RATE:
            frame = played[given : given + FRAME]
            guard.played(np.pad(frame, (0, FRAME - len(frame))))
            given += FRAME
        left.append(guard.judge(microphone[at : at + HEARD], 0.9))
    return left


def after(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / HEARD)


# --- levels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("late_ms", [0, 30, 120, 250, 500])
@pytest.mark.parametrize("level_db", [-40, -20, -6, 6])
def test_an_echo_is_known_within_a_second(late_ms: float, level_db: float) -> None:
    guard, played = EchoGuard(), voice(4, seed=1)
    left = judged(guard, played, came_back(played, late_ms, level_db))
    assert np.mean(np.array(left[after(1) :]) > 0) < 0.05
    assert guard.delay_ms == pytest.approx(late_ms, abs=50)


@pytest.mark.parametrize("level_db", [-40, -20, -9])
def test_who_talks_over_their_echo_is_heard(level_db: float) -> None:
    guard, played = EchoGuard(), voice(5, seed=1)
    caller = voice(2, seed=2, rate=SAMPLE_RATE)
    microphone = came_back(played, 120, level_db)
    microphone[3 * SAMPLE_RATE :] += caller
    left = judged(guard, played, microphone)
    assert np.mean(np.array(left[after(1.5) : after(3) - 1]) > 0) < 0.05
    assert max(left[after(3) : after(3.15)]) > 0
    assert np.mean(np.array(left[after(3) :]) > 0) > 0.5


def test_without_an_echo_nothing_is_taken_from_the_caller() -> None:
    guard = EchoGuard()
    left = judged(guard, voice(4, seed=1), voice(4, seed=2, rate=SAMPLE_RATE))
    assert min(left) == 0.9
    assert guard.delay_ms is None


def test_callers_who_talk_over_replies_are_no_echo_of_them() -> None:
    guard = EchoGuard()
    for turn in range(12):  # a reply falls silent 80 ms after somebody talks over it
        starts = 0.5 + 0.2 * turn
        reply, caller = voice(starts + 0.08, seed=turn), voice(1.2, turn + 100, SAMPLE_RATE)
        played = np.concatenate([reply, silence(2 * PLAYOUT_RATE)])
        microphone = np.concatenate([silence(round(starts * SAMPLE_RATE)), caller])
        microphone = np.pad(microphone, (0, len(played) * 2 // 3 - len(microphone)))
        left = judged(guard, played, microphone)
        assert min(left[after(starts) + 1 : after(starts + 1.2) - 1]) == 0.9
    assert guard.delay_ms is None


def test_a_caller_alone_is_heard_after_an_echo_was_learnt() -> None:
    guard, played = EchoGuard(), np.concatenate([voice(3, seed=1), silence(3 * PLAYOUT_RATE)])
    microphone = came_back(played, 120, -20)
    microphone[4 * SAMPLE_RATE :] += voice(2, seed=2, rate=SAMPLE_RATE)
    left = judged(guard, played, microphone)
    assert np.mean(np.array(left[after(4) + 2 :]) > 0) > 0.95


def test_an_echo_that_moves_is_found_again() -> None:
    guard, played = EchoGuard(), voice(7, seed=1)
    near, far = came_back(played, 90, -15), came_back(played, 190, -15)
    microphone = np.concatenate([near[: 3 * SAMPLE_RATE], far[3 * SAMPLE_RATE :]])
    left = judged(guard, played, microphone)
    assert np.mean(np.array(left[after(5) :]) > 0) < 0.05
    assert guard.delay_ms == pytest.approx(190, abs=50)


def test_an_echo_that_is_cancelled_from_now_on_is_forgotten() -> None:
    guard, played = EchoGuard(), voice(6, seed=1)
    microphone = came_back(played, 120, -20)
    microphone[3 * SAMPLE_RATE :] = 0
    judged(guard, played[: 3 * PLAYOUT_RATE], microphone[: 3 * SAMPLE_RATE])
    assert guard.delay_ms is not None
    judged(guard, played[3 * PLAYOUT_RATE :], microphone[3 * SAMPLE_RATE :])
    assert guard.delay_ms is None


# --- words ----------------------------------------------------------------------------------

SAID = "Once upon a time there was a lighthouse on a small island. 你好呀，我是晓晓。"


@pytest.mark.parametrize(
    "words", ["Once upon a time", "There was, a light house"[:11], "a lighthouse on a smell island",
              "Island.", "我是晓晓"],
)  # fmt: skip
def test_words_of_the_reply_are_an_echo(words: str) -> None:
    assert repeats(words, SAID)


@pytest.mark.parametrize("words", ["", "...", "Stop it", "a boat", "once more please", "你是谁"])
def test_other_words_are_not(words: str) -> None:
    assert not repeats(words, SAID)


# --- a call ---------------------------------------------------------------------------------


class Loudspeaker(MemoryLine):
    """A line whose caller says nothing, and whose microphone hears the reply, 120 ms late."""

    async def _tick(self) -> None:
        played = np.concatenate([silence(FRAME), *self.heard[-6:-5]])[-FRAME:]
        assert not self._queue
        self._queue.append(came_back(played, 0, -12)[:PIECE])
        await super()._tick()


class Syllables:
    """A voice whose levels rise and fall as those of speech do."""

    async def run(self, how: Voice, source: Source[Clause], sink: Sink[Speech]) -> None:
        async with sink:
            async for clause in source:
                seconds = len(clause.spoken) / 15
                sound = voice(seconds, seed=clause.number)
                await sink.send(Speech(clause.number, sound, PLAYOUT_RATE, last=True))


def speaking(stages: Stages) -> Stages:
    return replace(stages, mouths=(Mouth("syllables", Syllables(), Voice()),))


@pytest.mark.timeout(60)
async def test_the_agent_does_not_interrupt_itself(tmp_path: Path) -> None:
    async with calling(tmp_path, change=speaking, line=Loudspeaker) as running:
        await running.page.wait_for(ReplyEnd)
        held = len(running.page.all(HoldWord))
        running.line.write(Say(text="tell me a long story about the sea and its ships"))
        await running.page.wait_for(Playing, 2)
        end = await running.page.wait_for(ReplyEnd, 2)
        assert not end.interrupted
        assert len(running.page.all(HoldWord)) - held <= 1
