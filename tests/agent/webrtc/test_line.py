"""A line and a caller against each other on loopback: real ICE, DTLS, SRTP and SCTP."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import anyio
import numpy as np
import pytest

from agent.line import FRAME, PLAYOUT_RATE, Line
from agent.messages import Bye, FromPage, HangUp, Ping, Pong, Say, State, ToPage, Trouble
from agent.webrtc import Watches, answer
from agent.webrtc.grid import FRAME_SECONDS
from agent.webrtc.line import AUDIO_KEPT, INBOX_KEPT, REPLY_AFTER, WebRtcLine
from agent.webrtc.peer import Peer
from stages.events import SAMPLE_RATE, Audio, Samples
from tests.agent.webrtc.calls import LOCAL, PATIENT, Pair, Toner, connected, silent


def sockets() -> int:
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.readlink(link).startswith("socket") for link in links if os.path.exists(link))


async def take(line: WebRtcLine, count: int) -> list[Audio]:
    pieces: list[Audio] = []
    async for piece in line.audio:
        pieces.append(piece)
        if len(pieces) == count:
            break
    return pieces


def whole(pieces: list[Audio]) -> bool:
    """Say whether each piece begins where the one before ended, and the first at 0.

    A piece is longer than a frame where the sender was late and left frames out.
    """
    ends = [piece.end for piece in pieces]
    return [piece.start for piece in pieces] == [0, *ends[:-1]]


async def words(pair: Pair, count: int) -> list[ToPage]:
    """Return the next words of the agent, but for pongs."""
    got: list[ToPage] = []
    async for word, _ in pair.peer.words:
        if not isinstance(word, Pong):
            got.append(word)
        if len(got) == count:
            break
    return got


def test_it_is_a_line() -> None:
    def takes(line: Line) -> None: ...

    def check(line: WebRtcLine) -> None:  # mypy holds the contract
        takes(line)

    assert callable(check)


async def test_the_agent_hears_the_caller_without_gaps() -> None:
    async with connected(Toner()) as pair:
        pieces = await take(pair.line, 50)
    assert whole(pieces)
    sound = np.concatenate([piece.samples for piece in pieces[5:]])
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.argmax(spectrum) * SAMPLE_RATE / len(sound) == pytest.approx(440, abs=3)


async def test_the_caller_hears_what_is_pulled_on_the_grid() -> None:
    toner = Toner()
    async with connected() as pair:
        pair.line.play(toner)
        await pair.hears(lambda: len(pair.heard) >= 60)
        assert toner.frames >= 50
        late = list(pair.line.track.lateness)
    sound = np.concatenate([samples for samples, _ in pair.heard[-20:]])
    assert float(np.abs(sound).max()) == pytest.approx(0.3, abs=0.08)
    assert len(late) >= 60
    assert min(late) >= 0.0, "no frame leaves before it is due"


async def test_silence_is_sent_while_nothing_is_played() -> None:
    async with connected() as pair:
        await pair.hears(lambda: len(pair.heard) >= 20)
    assert all(not np.abs(samples).max() > 1e-3 for samples, _ in pair.heard)
    assert whole([Audio(samples, position) for samples, position in pair.heard])


async def test_lost_packets_leave_no_gap_and_no_delay() -> None:
    async with connected(Toner()) as pair:
        receive, count = pair.line.receiver.packet, 0

        def lossy(source: int, sequence: int, stamp: int, payload: bytes, now: float) -> None:
            nonlocal count
            count += 1
            if count % 10 not in (5, 6):  # a fifth is lost, two in a row
                receive(source, sequence, stamp, payload, now)

        pair.line.receiver.packet = lossy  # type: ignore[method-assign]
        pieces = await take(pair.line, 70)
        receiver = pair.line.receiver
    assert whole(pieces)
    assert receiver.missing >= 8
    assert receiver.concealed > 0
    assert all(len(piece.samples) <= 2 * 320 for piece in pieces)


async def test_the_stream_goes_on_in_real_time_when_the_caller_falls_silent() -> None:
    async with connected(Toner()) as pair:
        await take(pair.line, 10)
        pair.peer.track.stop()  # as a page does that stops its microphone
        begun = time.monotonic()
        before = pair.line.receiver.packets
        pieces = await take(pair.line, 60)
        took = time.monotonic() - begun
        assert pair.line.receiver.packets - before < 20
    assert float(np.abs(pieces[-1].samples).max()) == 0.0
    assert took > 0.5, "silence must not run ahead of time"


async def test_a_sample_has_the_time_at_which_it_was_due_here() -> None:
    async with connected(Toner()) as pair:
        pieces = await take(pair.line, 30)
        now = time.monotonic()
        due = pair.line.spoken_at(pieces[-1].end)
        assert due <= now
        later = pair.line.spoken_at(pieces[-1].end + SAMPLE_RATE)
        assert later - due == pytest.approx(1.0)


async def test_our_frames_come_to_follow_close_behind_those_of_the_caller() -> None:
    async with connected() as pair:

        def follows() -> bool:
            grid = pair.line.track.grid
            if grid is None or not pair.line.receiver.packets:
                return False
            behind = (grid.due() - pair.line.spoken_at(0)) % FRAME_SECONDS
            return abs(behind - REPLY_AFTER) < 0.0005

        await pair.hears(follows)


async def test_words_go_both_ways() -> None:
    async with connected() as pair:
        pair.line.send(State(state="listening"))
        pair.line.send(State(state="thinking"))
        assert await words(pair, 2) == [State(state="listening"), State(state="thinking")]
        pair.peer.send(Say(text="你好"))
        assert await pair.line.inbox.receive() == Say(text="你好")


async def test_words_before_the_channel_is_open_are_kept() -> None:
    peer = Peer(silent, lambda samples, position, arrival: None, ice=LOCAL)
    line, sdp = await answer(await peer.offer(), LOCAL, PATIENT)
    line.send(State(state="listening"))
    await peer.accept(sdp)
    word, _ = await peer.words.receive()
    assert word == State(state="listening")
    await line.close("done")
    await peer.close()


async def test_a_ping_is_answered_with_our_clock_and_goes_no_further() -> None:
    async with connected() as pair:
        before = time.monotonic() * 1000
        pair.peer.send(Ping(t0=12.5))
        while True:
            word, _ = await pair.peer.words.receive()
            if isinstance(word, Pong) and word.t0 == 12.5:
                break
        assert before <= word.t1 <= word.t2 <= time.monotonic() * 1000
        pair.peer.send(HangUp())
        assert await pair.line.inbox.receive() == HangUp()


async def test_a_word_that_is_none_gets_a_sentence_and_the_call_goes_on() -> None:
    async with connected() as pair:
        for text in ("{", '{"type": "sing"}', '{"type": "say", "text": ""}', "x" * 20_000):
            pair.peer._channel.send(text)
        troubles = await words(pair, 4)
        assert all(isinstance(word, Trouble) for word in troubles)
        assert "Invalid JSON" in troubles[0].sentence  # type: ignore[union-attr]
        assert pair.line.channel.bad == 4
        pair.peer.send(Say(text="still here"))
        assert await pair.line.inbox.receive() == Say(text="still here")


async def test_a_flood_of_words_drops_the_oldest_and_counts() -> None:
    async with connected() as pair:
        for number in range(INBOX_KEPT + 40):
            pair.peer.send(Say(text=str(number)))
        pair.peer.send(HangUp())
        got: list[FromPage] = []
        pair.peer.send(Ping(t0=77.0))
        while True:  # the pong says that all before it was read
            word, _ = await pair.peer.words.receive()
            if isinstance(word, Pong) and word.t0 == 77.0:
                break
        while not got or got[-1] != HangUp():
            got.append(await pair.line.inbox.receive())
        assert len(got) == INBOX_KEPT
        assert pair.line.dropped["inbox"] == 41


async def test_an_agent_that_does_not_listen_loses_the_oldest_sound() -> None:
    async with connected() as pair:
        for number in range(AUDIO_KEPT + 25):
            pair.line._audio.put(Audio(np.zeros(320, dtype=np.float32), number))
        assert pair.line.dropped["audio"] >= 25


async def test_what_pull_raises_comes_out_of_run() -> None:
    def broken() -> Samples:
        raise RuntimeError("no more sound")

    peer = Peer(silent, lambda samples, position, arrival: None, ice=LOCAL)
    line, sdp = await answer(await peer.offer(), LOCAL, PATIENT)
    line.play(broken)
    await peer.accept(sdp)
    with pytest.raises(RuntimeError, match="no more sound"):
        await line.run()
    await peer.close()


# --- the end ---


async def test_a_caller_who_hangs_up_ends_both_streams() -> None:
    async with connected() as pair:
        await take(pair.line, 5)
        await pair.peer.close()
        with anyio.fail_after(5):
            async for _ in pair.line.audio:
                pass
            async for _ in pair.line.inbox:
                pass
        assert pair.line.ended


async def test_a_caller_whose_pings_stop_is_given_up() -> None:
    async with connected(watches=Watches(heartbeat=0.5)) as pair:
        with anyio.fail_after(5):
            async for _ in pair.line.audio:
                pass
        assert pair.line.ended == "The page was silent for 0.5 s."


async def test_a_caller_who_never_connects_is_given_up() -> None:
    peer = Peer(silent, lambda samples, position, arrival: None, ice=LOCAL)
    offer = await peer.offer()
    await peer.close()
    line, _ = await answer(offer, LOCAL, Watches(connect=0.5))
    with anyio.fail_after(5):
        await line.run()
    assert line.ended == "The caller did not connect within 0.5 s."
    with pytest.raises(anyio.EndOfStream):
        await line.audio.receive()


async def test_the_agent_says_goodbye() -> None:
    async with connected() as pair:
        await pair.line.close("it was nice")
        assert await words(pair, 1) == [Bye(reason="it was nice")]
        with anyio.fail_after(5):
            await pair.peer.closed.wait()


async def test_closing_frees_every_task_thread_and_socket() -> None:
    async with connected():
        pass  # whatever is made once and kept is made now
    tasks, threads, open_sockets = len(asyncio.all_tasks()), threading.active_count(), sockets()
    for _ in range(3):
        async with connected(Toner()) as pair:
            pair.line.play(Toner())
            await take(pair.line, 5)
    await anyio.lowlevel.checkpoint()
    assert threading.active_count() == threads
    assert sockets() == open_sockets
    assert len(asyncio.all_tasks()) == tasks


async def test_closing_twice_or_cancelled_is_closing() -> None:
    async with connected() as pair:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await pair.line.close("first")
        assert pair.line.ended == "first"
        await pair.line.close("second")
        assert pair.line.ended == "first"
        with anyio.fail_after(5):
            await pair.peer.closed.wait()


async def test_a_lost_caller_comes_back_on_a_new_line() -> None:
    for _ in range(2):
        async with connected(Toner()) as pair:
            pieces = await take(pair.line, 10)
            assert pieces[0].start == 0


def test_a_frame_is_twenty_milliseconds() -> None:
    assert FRAME * 50 == PLAYOUT_RATE
