"""The reply in the microphone: a room with a loudspeaker, in audio time, in a closed loop.

What the reply's playing gives comes back late, softer, and through a room's impulse response; a
reply that is held falls silent there, too. Somebody may talk over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import soxr
from anyio import to_thread
from rich import box
from rich.console import Console
from rich.table import Table

from agent.bench.overtalk import Outcome, Overtalk, Sound, first_speech
from agent.decisions import Action, GoOn, Hold, Interrupt
from agent.echo import EchoGuard, repeats
from agent.engines import Stages
from agent.line import FRAME, PLAYOUT_RATE
from agent.playout import Playout, ReplyAudio
from agent.turn_settings import TurnSettings
from agent.webrtc import sound
from stages.audio import samples_in, silence
from stages.events import SAMPLE_RATE, Clause, Samples, Speech, VadFrame

ROOM_MS = 400
"""Of a room's response: what comes later is too soft to matter."""


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """How the reply comes back."""

    name: str
    response: Samples  # at SAMPLE_RATE; of unit energy
    late_ms: float
    level_db: float  # of the echo, relative to what was played


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """A reply: its sound at ``PLAYOUT_RATE``, and its words."""

    samples: Samples
    text: str


@dataclass(eq=False)
class Echoing(Overtalk):
    """One reply in one room; ``sound`` is what somebody says meanwhile.

    Args:
        room: none: the line has no echo.
        guarded: whether the guard is asked.
    """

    said: Said = field(default_factory=lambda: Said(silence(0), ""))
    audio: ReplyAudio = field(default_factory=lambda: ReplyAudio(1))
    room: Room | None = None
    guarded: bool = True
    guard: EchoGuard = field(default_factory=EchoGuard)
    _playout: Playout = field(init=False)
    _pulled: int = 0  # frames

    def __post_init__(self) -> None:
        self._playout = Playout(lambda number: None, lambda number: None)
        self._playout.play(self.audio)
        self._down: Any = soxr.ResampleStream(PLAYOUT_RATE, SAMPLE_RATE, 1, dtype="float32")
        self._air = silence(0)  # what the loudspeaker gave
        self.judge = self._judge

    def _sounding(self, start: int, end: int) -> Samples:
        while self._pulled * FRAME * SAMPLE_RATE < end * PLAYOUT_RATE:
            frame = self._playout.pull()
            self._pulled += 1
            self.guard.played(frame)
            self._air = np.concatenate([self._air, self._down.resample_chunk(frame)])
        return self._mic[start:end] + self._echo(start, end)

    def _echo(self, start: int, end: int) -> Samples:
        if self.room is None:
            return silence(end - start)
        response, late = self.room.response, samples_in(self.room.late_ms)
        first, last = start - late - len(response), end - late
        air = np.concatenate([silence(max(0, -first)), self._air[max(0, first) : max(0, last)]])
        size = 1 << (len(air) + len(response)).bit_length()
        wet = np.fft.irfft(np.fft.rfft(air, size) * np.fft.rfft(response, size), size)
        piece = wet[len(response) : len(response) + end - start] * 10 ** (self.room.level_db / 20)
        return np.pad(piece, (0, end - start - len(piece))).astype(np.float32)

    def _judge(self, frame: VadFrame) -> float:
        speech = self.guard.judge(frame.audio.samples, frame.speech)
        return speech if self.guarded else frame.speech

    def _understood(self, text: str) -> str:
        return "" if self.guarded and repeats(text, self.said.text) else text

    def _decided(self, action: Action) -> None:
        match action:
            case Hold():
                self._playout.hold()
            case GoOn():
                self._playout.go_on()
            case Interrupt():
                self._playout.cut(1)
            case _:
                pass


# --- all rooms ------------------------------------------------------------------------------

LEVELS_DB = (-40.0, -30.0, -24.0, -18.0, -12.0, -6.0)
DELAYS_MS = (30.0, 100.0, 250.0)
ROOMS = ("rir_sb1", "rir_lhotse_sim")
OVER_IT = "en_assistant/g_brooklyn"
TALKS_AT_S = 3.0
TEXT = (
    "Once upon a time there was a lighthouse on a small island, far away from the coast of the"
    " mainland. Every evening an old keeper climbed up the stairs and lit the great lamp."
)


@dataclass(frozen=True, slots=True)
class InRoom:
    """What a reply did to itself in a room, and what somebody who talked over it did."""

    room: str
    late_ms: float
    level_db: float
    guarded: bool
    alone: Outcome
    talked_over: Outcome


async def in_rooms(
    stages: Stages,
    settings: TurnSettings,
    folder: Path,
    *,
    levels: Sequence[float] = LEVELS_DB,
    delays: Sequence[float] = DELAYS_MS,
) -> list[InRoom]:
    """Let the profile's voice speak in every room, without and with the guard.

    Args:
        stages: the profile's.
        settings: of its turn-taking.
        folder: of the development recordings.
        levels: of the echo, in dB relative to what was played.
        delays: of the echo, in milliseconds.
    """
    said = await _spoken(stages)
    caller = await to_thread.run_sync(sound.read, folder / f"{OVER_IT}.flac", SAMPLE_RATE)
    before = silence(samples_in(TALKS_AT_S * 1000))
    starts = len(before) + await first_speech(stages, caller)
    talk = Sound("talk", "talk", np.concatenate([before, caller]), starts)
    nobody = Sound("nobody", "nobody", silence(len(said.samples) * SAMPLE_RATE // PLAYOUT_RATE))
    results = []
    for name in ROOMS:
        response = await to_thread.run_sync(_response, folder / "noise" / f"{name}.flac")
        for late in delays:
            for level in levels:
                room = Room(name, response, late, level)
                for guarded in (False, True):
                    both = [
                        await _one(stages, settings, one, said, room, guarded=guarded)
                        for one in (nobody, talk)
                    ]
                    results.append(InRoom(name, late, level, guarded, both[0], both[1]))
    return results


async def without_echo(
    stages: Stages, settings: TurnSettings, sounds: Sequence[Sound]
) -> list[Outcome]:
    """Return what each sound does to a reply, one after the other in a call without any echo."""
    said, guard = await _spoken(stages), EchoGuard()
    outcomes = []
    for one in sounds:
        audio = await _to_play(said)
        case = Echoing(stages, settings, one, said=said, audio=audio, guard=guard)
        outcomes.append(await case.run())
    return outcomes


async def _one(
    stages: Stages, settings: TurnSettings, heard: Sound, said: Said, room: Room, *, guarded: bool
) -> Outcome:
    audio = await _to_play(said)
    case = Echoing(stages, settings, heard, said=said, audio=audio, room=room, guarded=guarded)
    return await case.run()


async def _to_play(said: Said) -> ReplyAudio:
    audio = ReplyAudio(1)
    await audio.push(said.samples)
    audio.finished = True
    return audio


def _response(file: Path) -> Samples:
    """Return a room's response from its first sound on, of unit energy."""
    whole = sound.read(file, SAMPLE_RATE)
    first = max(0, int(np.argmax(np.abs(whole))) - samples_in(1))
    part = whole[first : first + samples_in(ROOM_MS)].astype(np.float64)
    response: Samples = (part / np.sqrt(np.square(part).sum())).astype(np.float32)
    return response


async def _spoken(stages: Stages) -> Said:
    """Let the profile's voice tell the beginning of a story."""
    mouth = stages.mouths[0]
    clause_in, clause_out = anyio.create_memory_object_stream[Clause](1)
    speech_in, speech_out = anyio.create_memory_object_stream[Speech](8)
    async with clause_in, clause_out, speech_in, speech_out, anyio.create_task_group() as tasks:
        tasks.start_soon(mouth.tts.run, mouth.voice, clause_out, speech_in)
        await clause_in.send(Clause(0, TEXT, TEXT))
        await clause_in.aclose()
        pieces = [piece async for piece in speech_out]
    whole = np.concatenate([piece.samples for piece in pieces])
    return Said(soxr.resample(whole, pieces[0].rate, PLAYOUT_RATE).astype(np.float32), TEXT)


def by_level(rooms: Sequence[InRoom]) -> list[dict[str, Any]]:
    """Return figures for each level of the echo, over rooms and delays."""
    rows = []
    for level in dict.fromkeys(one.level_db for one in rooms):
        for guarded in (False, True):
            some = [one for one in rooms if (one.level_db, one.guarded) == (level, guarded)]
            talked = [one.talked_over for one in some]
            early = sum(one.ended_ms is not None and one.ended_ms < 0 for one in talked)
            rows.append({
                "echo_db": level,
                "guard": guarded,
                "cases": len(some),
                "holds": sum(one.alone.held for one in some) / len(some),
                "held_ms": sum(one.alone.held_ms for one in some) / len(some),
                "ended_itself": sum(one.alone.ended_ms is not None for one in some),
                "talk_ended_early": early,
                "talk_ended_ms": float(np.median([one.ended_ms or np.inf for one in talked])),
            })  # fmt: skip
    return rows


def show_rooms(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print a table of ``by_level``; of nothing, nothing."""
    if not rows:
        return
    title = "A loudspeaker in front of the microphone (per reply of ten seconds)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for head in ("echo dB", "guard", "cases", "holds", "held ms", "ended itself",
                 "talk ended before it began", "and after ms"):  # fmt: skip
        table.add_column(head, justify="right")
    for row in rows:
        figures = (f"{row['echo_db']:.0f}", "on" if row["guard"] else "off", str(row["cases"]),
                   f"{row['holds']:.1f}", f"{row['held_ms']:.0f}", str(row["ended_itself"]),
                   str(row["talk_ended_early"]), f"{row['talk_ended_ms']:.0f}")  # fmt: skip
        table.add_row(*figures)
    console.print(table)
