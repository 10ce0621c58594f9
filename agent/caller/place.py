"""Places a call: connects, speaks the recordings one after the other, and hangs up."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import anyio
import numpy as np
from anyio import to_thread

from agent.caller.ear import Ear
from agent.caller.follow import Follower, Spoken
from agent.caller.mic import Mic, Utterance
from agent.caller.result import CallResult, Exactness
from agent.caller.sum_up import turn_result
from agent.errors import NotPossible
from agent.folders import make_writable
from agent.line import FRAME, PLAYOUT_RATE
from agent.messages import HangUp, Ping, ToPage
from agent.webrtc import sound
from agent.webrtc.peer import Peer
from stages.events import Samples

PING_EVERY = 1.0
CONNECT_WITHIN = 10.0
RECORD_WITHIN = 2.0
"""Seconds after a reply within which its timeline should have come."""
KEEP_WITHIN = 5.0
"""Seconds that keeping a call may take which was broken off."""
LONGEST_TURN = 300.0
SILENT = 1e-4
"""Peak (full scale is 1) below which a recording holds nothing: -80 dB."""
QUIET = 0.3
"""Seconds without sound after which a reply that was said to be over is over in the ear."""

REST_WITHIN = 3.0
"""Seconds after a recording within which its end is answered, if its beginning was before that."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How the caller behaves; times in seconds."""

    settle: float = 1.0  # of quiet before the first recording: a greeting may come
    deadline: float = 20.0  # without a word or a sound of the agent, after which a turn failed
    barge_in: float | None = None  # speak the next recording that long after a reply is heard


async def place(  # noqa: PLR0913 - what a call can be told is many things
    url: str,
    files: Sequence[Path],
    *,
    profile: str | None = None,
    token: str | None = None,
    out: Path | None = None,
    on_message: Callable[[ToPage], None] | None = None,
    manners: Manners | None = None,
    speech: Mapping[Path, tuple[float, float]] | None = None,
) -> CallResult:
    """Call an agent and speak to it. Cancelling hangs up; what there is then is kept in ``out``.

    Args:
        url: where the agent serves its page.
        files: recordings in any format that FFmpeg reads, spoken one a turn.
        profile: the character's id; none: the agent's default.
        token: what the agent asks of callers from elsewhere.
        out: a folder for ``call.wav`` (left the caller, right the reply) and ``call.json``.
        on_message: told every message of the agent as it comes.
        manners: how to behave.
        speech: seconds of the first and the last speech of recordings, where they are known; by
            level alone, noise after the last word passes for speech.

    Raises:
        NotPossible: a recording cannot be read or is silent, ``out`` cannot be written, nobody
            answers at the URL, the agent refuses the call, or no connection comes about.
    """
    sounds = [await to_thread.run_sync(recording, file) for file in files]
    if out is not None:
        await to_thread.run_sync(make_writable, out)  # now: a call that cannot be kept is lost
    caller = _Caller(on_message, manners or Manners())
    try:
        connect_ms, call = await caller.connect(url, profile, token)
        known = speech or {}
        said = [Utterance(f, s, known.get(f)) for f, s in zip(files, sounds, strict=True)]
        try:
            await caller.talk(said)
        except anyio.get_cancelled_exc_class():
            if out is not None:
                with anyio.move_on_after(KEEP_WITHIN, shield=True):
                    caller.break_off()
                    await caller.result(url, call, connect_ms, out)
            raise
    finally:
        await caller.peer.close()
    return await caller.result(url, call, connect_ms, out)


def recording(file: Path) -> Samples:
    """Return what a caller can say, as mono samples at ``PLAYOUT_RATE``. It blocks.

    Raises:
        NotPossible: it cannot be read, or is silent.
    """
    samples = sound.read(file, PLAYOUT_RATE)
    if float(np.abs(samples).max(initial=0.0)) < SILENT:
        raise NotPossible(f"{file} is silent from end to end; an agent would wait for words.")
    return samples


class _Caller:
    def __init__(self, on_message: Callable[[ToPage], None] | None, manners: Manners) -> None:
        self._on_message = on_message
        self._manners = manners
        self._news = anyio.Event()
        self._mic = Mic()
        self._ear = Ear(self._packet)
        self.peer = Peer(self._mic.pull, self._ear.hear, self._mic.sent)
        self._follow = Follower(self._ear, self.peer.send)

    async def connect(self, url: str, profile: str | None, token: str | None) -> tuple[float, str]:
        """Connect; return how long it took, in milliseconds, and the call's name."""
        began = time.monotonic()
        offer = await self.peer.offer()
        answer = await _ask(url, token, {"sdp": offer, "type": "offer", "profile": profile})
        try:
            await self.peer.accept(answer["sdp"])
            with anyio.fail_after(CONNECT_WITHIN):
                await self.peer.opened.wait()
        except ValueError as error:
            raise NotPossible(f"{url} gave no answer that a call can use: {error}.") from error
        except TimeoutError as error:
            raise NotPossible(
                f"{url} answered, but no connection came about within {CONNECT_WITHIN:.0f} s;"
                " a firewall may block UDP between here and there."
            ) from error
        return (time.monotonic() - began) * 1000, answer.get("call", "")

    async def talk(self, utterances: list[Utterance]) -> None:
        """Speak them one after the other, and hang up."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ping)
            tasks.start_soon(self._listen)
            await self._until(self._settled, self._manners.deadline)
            for number, utterance in enumerate(utterances):
                await self._turn(utterance, last=number == len(utterances) - 1)
                if self._gone:
                    break
            self.peer.send(HangUp())
            tasks.cancel_scope.cancel()

    def break_off(self) -> None:
        """Note that the latest recording has no answer yet, and will have none."""
        if self._follow.spoken and not self._answered():
            self._fail(self._follow.spoken[-1], "broken off")

    # --- what goes on beside ---

    async def _ping(self) -> None:
        while True:
            self.peer.send(Ping(t0=time.monotonic() * 1000))
            await anyio.sleep(PING_EVERY)

    async def _listen(self) -> None:
        async for word, arrived in self.peer.words:
            self._follow.word(word, arrived)
            if self._on_message is not None:
                self._on_message(word)
            self._news.set()
        self._news.set()

    def _packet(self) -> None:
        self._follow.look(time.monotonic())
        self._news.set()

    # --- one turn ---

    async def _turn(self, utterance: Utterance, *, last: bool) -> None:
        spoken = self._follow.spoke(utterance)
        self._mic.speak(utterance)
        waited = await self._until(utterance.done.is_set, LONGEST_TURN)
        barge_in = None if last else self._manners.barge_in
        if waited and barge_in is not None:
            if not await self._until(partial(self._heard_for, barge_in), self._manners.deadline):
                self._fail(spoken, "the reply to interrupt was not heard")
            return
        if not waited or not await self._until(self._answered, self._manners.deadline):
            self._fail(spoken, f"no whole reply within {self._manners.deadline:.0f} s")
            return
        await self._until(self._recorded, RECORD_WITHIN)

    def _fail(self, spoken: Spoken, reason: str) -> None:
        if self._gone:
            bye = self._follow.bye
            reason = f"the agent hung up ({bye.reason})" if bye else "the connection was lost"
        said = f" The agent said: {' '.join(spoken.troubles)}" if spoken.troubles else ""
        spoken.failure = f"{spoken.file.name}: {reason}.{said}"

    @property
    def _gone(self) -> bool:
        return self.peer.closed.is_set() or self._follow.bye is not None

    def _settled(self) -> bool:
        follow = self._follow
        quiet = time.monotonic() - max(follow.news, self._ear.quiet_since(follow.news))
        return follow.welcome is not None and not follow.busy and quiet >= self._manners.settle

    def _answered(self) -> bool:
        follow, now = self._follow, time.monotonic()
        told = [t for t in follow.replies.values() if t.file == len(follow.spoken) - 1]
        whole = [t for t in told if t.ended is not None and not t.interrupted]
        if not whole or follow.busy:
            return False
        over = max(t.ended or now for t in whole)
        utterance = follow.spoken[-1].utterance
        said = utterance.when(utterance.speech_end)
        if over < said and now - said < REST_WITHIN:
            return False  # it answered what came before a pause: the rest has its turn, too
        return now - self._ear.quiet_since(over) >= QUIET

    def _heard_for(self, seconds: float) -> bool:
        index = len(self._follow.spoken) - 1
        heard = [t.heard for t in self._follow.replies.values() if t.file == index]
        return any(at is not None and time.monotonic() - at >= seconds for at in heard)

    def _recorded(self) -> bool:
        index = len(self._follow.spoken) - 1
        turns = {t.turn for t in self._follow.replies.values() if t.file == index}
        return turns <= self._follow.records.keys()

    async def _until(self, ready: Callable[[], bool], patience: float) -> bool:
        """Wait until something holds; give up if the agent gives no sign for ``patience`` s."""
        begun = time.monotonic()
        with anyio.move_on_after(LONGEST_TURN):
            while not ready():
                sign = max(begun, self._follow.news, self._ear.last or begun)
                left = sign + patience - time.monotonic()
                if left <= 0 or self._gone:
                    break
                self._news = anyio.Event()
                with anyio.move_on_after(left):
                    await self._news.wait()
        return ready()

    # --- the sum ---

    async def result(self, url: str, call: str, connect_ms: float, out: Path | None) -> CallResult:
        """Sum up, and write what ``out`` asks for."""
        follow = self._follow
        turns = tuple(turn_result(follow, index) for index in range(len(follow.spoken)))
        failures = [turn.failure for turn in turns if turn.failure]
        greeting = [told.text for told in follow.replies.values() if told.file < 0]
        result = CallResult(
            url=url,
            call=call,
            profile=follow.welcome.profile if follow.welcome else "",
            connect_ms=round(connect_ms, 1),
            greeting="".join(greeting),
            turns=turns,
            failures=(*follow.troubles, *failures),
            exactness=self._exactness(),
            recording=None if out is None else str(out / "call.wav"),
            records=follow.all_records,
        )
        if out is not None:
            await to_thread.run_sync(self._write, result, out)
        return result

    def _exactness(self) -> Exactness:
        jitter = np.array(self._mic.jitter or [0.0]) * 1000
        clock, grid = self._follow.clock, self.peer.track.grid
        return Exactness(
            clock_ms=round(clock.uncertainty, 3) if clock.known else None,
            round_trip_ms=round(clock.round_trip, 3) if clock.known else None,
            send_jitter_p50_ms=round(float(np.percentile(jitter, 50)), 2),
            send_jitter_p95_ms=round(float(np.percentile(jitter, 95)), 2),
            send_jitter_max_ms=round(float(jitter.max()), 2),
            slipped_frames=grid.slipped if grid else 0,
            missing_packets=self.peer.receiver.missing,
        )

    def _write(self, result: CallResult, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        shift = 0
        if self._mic.started is not None:
            # A sample sounds at once when its packet is there: one frame after the last of
            # the packet before was due.
            begin = self.peer.receiver.when(0) + FRAME / PLAYOUT_RATE
            shift = round((begin - self._mic.started) * PLAYOUT_RATE)
        channels = [self._mic.recorded(), self._ear.recorded(shift)]
        sound.write(out / "call.wav", channels, PLAYOUT_RATE)
        result.save(out / "call.json")


async def _ask(url: str, token: str | None, offer: dict[str, str | None]) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=CONNECT_WITHIN)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
            session.post(url.rstrip("/") + "/api/calls", json=offer) as response,
        ):
            body = await response.json(content_type=None)
            status, wait = response.status, response.headers.get("Retry-After")
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise NotPossible(
            f"There is no FirstWord agent at {url}: something else answers there."
        ) from error
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise NotPossible(f"There is no FirstWord agent at {url}: {_why(error)}.") from error
    if status == 201 and isinstance(body, dict) and isinstance(body.get("sdp"), str):
        return body
    told = body.get("error") if isinstance(body, dict) else None
    again = f" (try again in {wait} s)" if wait else ""
    raise NotPossible(f"{url} refused the call with {status}: {told or 'no reason given'}{again}")


def _why(error: Exception) -> str:
    """Return why there was no answer; asyncio says an address where the system has a reason."""
    cause = getattr(error, "os_error", None)
    if cause is not None and cause.errno in errno.errorcode:
        return os.strerror(cause.errno)
    return (cause and cause.strerror) or str(error) or "no answer in time"
