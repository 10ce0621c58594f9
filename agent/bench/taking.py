"""Takes turns in audio time: frames as fast as they can be had, opinions as late as they come."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import numpy as np
import numpy.typing as npt

from agent.bench.pauses import Case
from agent.decisions import Action, AskFinal, Open, Release
from agent.edge import Edge
from agent.endpoint import Evidence
from agent.engines import Stages
from agent.listen import JUDGED
from agent.turn import Turns
from agent.turn_settings import TurnSettings
from stages.audio import milliseconds_in, samples_in
from stages.events import (
    AsrInput,
    Audio,
    Hearing,
    Pause,
    PauseContext,
    Samples,
    Transcript,
    UtteranceEnd,
    UtteranceStart,
    VadFrame,
)

Patience = Callable[[TurnSettings, Evidence], float]

FINAL_MS, FINAL_MS_PER_S, JUDGE_MS = 23.0, 13.0, 60.0
"""After a pause is noticed: a final comes so late, and so much later a second of speech; an
opinion so late. Medians of calls on two shared cores."""
HEARD_S, CUT_S = 15.0, 10.0
"""Longer than the first is no final: so much of a long utterance is words already, every time."""

AUDIBLE = samples_in(28)
"""From the endpoint to the first audible sample of a reply that is ready: playout, and the ear."""

SURE = 0.8
"""Probability from which a VAD, asked where a recording ends, is believed."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the VAD made of a piece, and the position after its last loud sample."""

    end: int
    samples: int
    speech: float
    loud: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a way to take turns did in one case."""

    case: str
    group: str
    cut_ins: int  # endpoints before the end
    heard: int  # those of them after which a sound of the reply came before the caller went on
    wait_ms: float | None  # from the end to the endpoint; none: the turn was never ended
    vad_error_ms: float | None  # of where the machine took the end to be


@dataclass(eq=False)
class Opinions:
    """What the models say of the cases; everything is asked once.

    Args:
        kept: what was said in earlier runs.
    """

    stages: Stages
    kept: dict[str, str | float] = field(default_factory=dict)
    frames: dict[str, list[Frame]] = field(default_factory=dict)

    async def listen(self, case: Case) -> list[Frame]:
        """Return the VAD's frames of a case."""
        if case.name not in self.frames:
            edge = Edge()
            heard = await vad_frames(self.stages, case.samples)
            self.frames[case.name] = [_framed(frame, edge) for frame in heard]
        return self.frames[case.name]

    async def words(self, case: Case, start: int, at: int) -> tuple[str, float | None]:
        """Return the words between two positions, and how sure the engine is of a last comma."""
        samples = case.samples[start:at]
        key = f"{_digest(samples)} {self.stages.names['asr']}"
        comma = f"{key} goes_on"
        if key not in self.kept:
            final = await self._final(samples)
            self.kept[key] = "" if final is None else final.text
            if final is not None and final.goes_on is not None:
                self.kept[comma] = final.goes_on
        return str(self.kept[key]), float(self.kept[comma]) if comma in self.kept else None

    async def opinion(self, case: Case, start: int, at: int) -> float:
        """Return how complete the speech between two positions sounds, 0 to 1."""
        samples = case.samples[start:at]
        key = f"{_digest(samples)} {self.stages.names['turn']}"
        if key not in self.kept:
            context = PauseContext(samples[-JUDGED:], "", "en", 0)
            self.kept[key] = round(await self.stages.turn.judge(context), 4)
        return float(self.kept[key])

    async def _final(self, samples: Samples) -> Transcript | None:
        give, take = anyio.create_memory_object_stream[AsrInput](8)
        say, hear = anyio.create_memory_object_stream[Transcript](8)
        final: Transcript | None = None
        with give, take, say, hear:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.stages.asr.run, Hearing(language="en"), take, say)
                await give.send(UtteranceStart(1, 0))
                await give.send(Audio(samples, 0))
                await give.send(Pause(1, len(samples)))
                async for transcript in hear:
                    if transcript.final:
                        final = transcript
                        break
                await give.send(UtteranceEnd(1))
                await give.aclose()
        return final

    def save(self, file: Path) -> None:
        """Keep what was said."""
        file.write_text(json.dumps(self.kept, ensure_ascii=False, indent=0), encoding="utf-8")

    def load(self, file: Path) -> None:
        """Take what was kept, if anything was."""
        if file.is_file():
            self.kept = json.loads(file.read_text(encoding="utf-8"))


def _framed(frame: VadFrame, edge: Edge) -> Frame:
    audio = frame.audio
    return Frame(audio.end, len(audio.samples), frame.speech, edge.last_loud(audio))


def _digest(samples: Samples) -> str:
    return hashlib.sha256(samples.tobytes()).hexdigest()[:24]


async def vad_frames(stages: Stages, samples: Samples) -> list[VadFrame]:
    """Return what the VAD makes of a recording, from its beginning."""
    give, take = anyio.create_memory_object_stream[Audio](1)
    say, hear = anyio.create_memory_object_stream[VadFrame](len(samples) // 256 + 2)
    frames: list[VadFrame] = []
    with give, take, say, hear:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stages.vad.run, take, say)
            await give.send(Audio(samples, 0))
            await give.aclose()
            frames += [frame async for frame in hear]
    return frames


async def sure_places(stages: Stages, samples: Samples) -> npt.NDArray[np.bool_]:
    """Tell for each sample whether the VAD, hearing the whole recording, is sure of speech."""
    sure = np.zeros(len(samples), dtype=np.bool_)
    for frame in await vad_frames(stages, samples):
        sure[frame.audio.start : frame.audio.end] = frame.speech >= SURE
    return sure


# --- one case -------------------------------------------------------------------------------


@dataclass(eq=False)
class Taking:
    """One way to take turns, in one case."""

    case: Case
    opinions: Opinions
    turns: Turns
    cut_ins: int = 0
    heard: int = 0
    wait: float | None = None
    error: float | None = None
    now: int = 0  # position of the newest frame
    _start: int = 0
    _coming: list[tuple[int, Callable[[], list[Action]]]] = field(default_factory=list)

    async def run(self) -> Outcome:
        """Listen to the whole case."""
        for frame in await self.opinions.listen(self.case):
            self.now = frame.end
            await self._hear_opinions(frame.end)
            actions = self.turns.frame(frame.end, frame.samples, frame.speech, frame.loud)
            await self._do(actions, frame.end)
            if self.wait is not None:
                break
        cuts = self.cut_ins, self.heard
        return Outcome(self.case.name, self.case.group, *cuts, self.wait, self.error)

    async def _hear_opinions(self, upto: int) -> None:
        due = sorted((one for one in self._coming if one[0] <= upto), key=lambda one: one[0])
        self._coming = [one for one in self._coming if one[0] > upto]
        for when, tell in due:
            await self._do(tell(), when)

    async def _do(self, actions: list[Action], now: int) -> None:
        for action in actions:
            match action:
                case Open():
                    self._start = action.start
                case AskFinal():
                    await self.ask(action)
                case Release():
                    self._released(action, now)
                case _:
                    pass

    async def ask(self, action: AskFinal) -> None:
        """Let the words and the opinion come when they would in a call."""
        at = action.at
        text, goes_on = await self.opinions.words(self.case, self._start, at)
        sure = await self.opinions.opinion(self.case, self._start, at)
        heard = milliseconds_in(at - self._start) / 1000
        heard -= CUT_S * max(0, math.ceil((heard - HEARD_S) / CUT_S))
        words = Transcript(
            action.utterance, text, at, final=True, stable=len(text), goes_on=goes_on
        )
        final = at + samples_in(FINAL_MS + FINAL_MS_PER_S * heard)

        def judged() -> list[Action]:
            self.turns.judged(action.utterance, at, sure)
            return []

        self._coming.append((final, lambda: self.turns.transcript(words)))
        self._coming.append((at + samples_in(JUDGE_MS), judged))

    def _released(self, action: Release, now: int) -> None:
        self.turns.over(action.reply)  # nobody waits here for replies
        if now < self.case.end:
            goes_on = self._goes_on(now)
            self.cut_ins += 1
            self.heard += goes_on - now >= AUDIBLE
            if self.turns.habits.went_on(action.turn, action.speech_end, goes_on):
                self.turns.turn = action.turn  # both pieces are one
            return
        self.wait = milliseconds_in(now - self.case.end)
        if action.speech_end is not None:
            self.error = milliseconds_in(action.speech_end - self.case.end)

    def _goes_on(self, now: int) -> int:
        """Return where the caller is heard again after a position."""
        later = (frame for frame in self.opinions.frames[self.case.name] if frame.end > now)
        floor = self.turns.settings.threshold
        starts = (frame.end - frame.samples for frame in later if frame.speech >= floor)
        return next(starts, self.case.end)


async def take(
    cases: Sequence[Case], opinions: Opinions, settings: TurnSettings, patience: Patience
) -> list[Outcome]:
    """Return what one way to take turns does in each case; what a call teaches stays in it."""
    calls: dict[str, Turns] = {}
    outcomes = []
    for case in cases:
        turns = Turns(settings, patience=patience)
        if case.caller in calls:
            before = calls[case.caller]
            turns.turn, turns.habits = before.turn, before.habits
        if case.caller:
            calls[case.caller] = turns
        outcomes.append(await Taking(case, opinions, turns).run())
    return outcomes
