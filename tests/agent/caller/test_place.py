"""The scripted caller against a small agent, over WebRTC."""

from __future__ import annotations

import json
import wave
from functools import partial
from pathlib import Path

import anyio
import numpy as np
import pytest

from agent.caller import Manners, place
from agent.errors import NotPossible
from agent.line import PLAYOUT_RATE
from agent.messages import Heard, HeardReply, Silenced, ToPage
from agent.webrtc import sound
from tests.agent.caller.sounds import quiet, wav
from tests.servers.tone_agent import ToneAgent, serving, tone

QUICK = Manners(settle=0.2, deadline=5.0)


@pytest.fixture
def beep(tmp_path: Path) -> Path:
    return wav(tmp_path, np.concatenate([tone(0.4), quiet(0.05)]))


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


async def test_of_a_call_that_is_broken_off_what_there_was_is_kept(
    beep: Path, tmp_path: Path
) -> None:
    out, second = tmp_path / "out", anyio.Event()

    def follow(word: ToPage) -> None:
        if isinstance(word, Heard) and word.turn == 2:
            second.set()

    async with serving(ToneAgent()) as agent, anyio.create_task_group() as tasks:
        tasks.start_soon(
            partial(place, agent.url, [beep] * 3, out=out, on_message=follow, manners=QUICK)
        )
        await second.wait()
        tasks.cancel_scope.cancel()
    kept = json.loads((out / "call.json").read_text())
    assert [turn["failure"] for turn in kept["turns"]] == [None, "beep.wav: broken off."]
    assert kept["turns"][0]["reply"] == "Toot."
    assert kept["turns"][0]["heard_ms"] > 300
    assert kept["failures"] == ["beep.wav: broken off."]
    with wave.open(str(out / "call.wav")) as file:
        assert file.getnframes() > 0.9 * PLAYOUT_RATE


async def test_a_call_that_is_broken_off_before_it_began_leaves_nothing(
    beep: Path, tmp_path: Path
) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await place("http://127.0.0.1:9", [beep], out=tmp_path, manners=QUICK)
    assert not any((tmp_path / name).exists() for name in ("call.json", "call.wav"))


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
    for url in ("http://127.0.0.1:9", "http://localhost:9"):
        with pytest.raises(NotPossible) as caught:
            await place(url, [beep])
        assert str(caught.value) == f"There is no FirstWord agent at {url}: Connection refused."


async def test_a_server_of_something_else_is_a_sentence(beep: Path) -> None:
    async with serving(ToneAgent()) as agent:
        with pytest.raises(NotPossible) as caught:
            await place(f"{agent.url}/elsewhere", [beep])
    assert str(caught.value) == (
        f"There is no FirstWord agent at {agent.url}/elsewhere: something else answers there."
    )


async def test_a_recording_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF, but not for long")
    with pytest.raises(NotPossible, match=r"broken\.wav cannot be read as sound: "):
        await place("http://127.0.0.1:9", [broken])
    with pytest.raises(NotPossible, match=r"There is no recording .*absent\.wav"):
        await place("http://127.0.0.1:9", [tmp_path / "absent.wav"])


async def test_a_silent_recording_is_refused_before_the_call(tmp_path: Path) -> None:
    sound.write(tmp_path / "quiet.wav", [np.zeros(4800, np.int16)], PLAYOUT_RATE)
    with pytest.raises(NotPossible, match=r"quiet\.wav is silent from end to end"):
        await place("http://127.0.0.1:9", [tmp_path / "quiet.wav"])
