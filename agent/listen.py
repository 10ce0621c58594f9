"""The listening lane: what the caller says becomes frames, words, and decisions about turns.

Nothing here waits for a model: audio always flows, and ``Turns`` is told of everything.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic

import anyio
import numpy as np
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from agent.blame import blamed, first_sentence
from agent.company import Voices
from agent.decisions import (
    Action,
    AskFinal,
    Close,
    Drop,
    GoOn,
    Hold,
    Interrupt,
    Open,
    Prepare,
    Release,
)
from agent.echo import EchoGuard, repeats
from agent.edge import Edge
from agent.engines import Stages
from agent.line import Line
from agent.messages import Heard, Trouble
from agent.profile import Profile
from agent.replies import Replies
from agent.timeline import Mark
from agent.turn import FINAL_DEADLINE_MS, Turns
from stages.audio import samples_in
from stages.contracts import Source, Turn
from stages.errors import StageError, Transient
from stages.events import (
    AsrInput,
    Audio,
    Pause,
    PauseContext,
    Samples,
    Transcript,
    UtteranceEnd,
    UtteranceStart,
    VadFrame,
)

_log = logging.getLogger(__name__)

JUDGED = samples_in(8_000)
"""Samples of an utterance that a turn detector gets, at most."""
JUDGE_S = 1.0
"""How long its opinion is waited for; the decision does not wait for it."""


@dataclass(eq=False)
class Ears:
    """Tells ``Turns`` what is heard, and does what it decides.

    Args:
        asr: where utterances go; bounded, and full only when ASR has stopped working.
        at_rest: told, frame by frame, that no turn is under way; given these ears.
        voices: told of what is to be scored, where a profile wants to know who speaks.
        blame: told the sentence of each failure of a stage that listens.
    """

    line: Line
    profile: Profile
    turns: Turns
    replies: Replies
    detector: Turn
    asr: MemoryObjectSendStream[AsrInput]
    tasks: TaskGroup
    at_rest: Callable[[Ears], None]
    voices: Voices | None = None
    blame: Callable[[str], None] = lambda sentence: None
    _guard: EchoGuard = field(default_factory=EchoGuard)
    _recent: deque[Audio] = field(default_factory=deque)  # the utterance so far, or the pre-roll
    _edge: Edge = field(default_factory=Edge)
    _open: int | None = None
    _closed: int | None = None  # the utterance before
    _opened: int = 0  # where the open utterance began
    _text: str = ""
    _asked: int | None = None  # position of the pause whose final is still to come
    _final_at: float | None = None  # monotonic seconds; none: the utterance has no final yet
    _lag: float = 0.0  # seconds from the arrival of the newest frame to its being judged here

    def switch(self, profile: Profile, stages: Stages) -> None:
        """Take turns as another character does, and reply as it; ASR is the call's to change."""
        self.profile, self.detector = profile, stages.turn
        self.turns.settings = profile.turn.settings
        self.replies.switch(profile, stages)

    async def frames(self, source: Source[VadFrame]) -> None:
        """Hear frames until the caller is gone; then tell ASR that nothing more comes."""
        async with source, self.asr:
            async for frame in source:
                audio = frame.audio
                self._lag = monotonic() - self.line.spoken_at(audio.end)
                self._remember(audio)
                if self._open is not None:
                    self._tell(audio)
                loud = self._edge.last_loud(audio)
                speech = self._speech(frame)
                self.act(self.turns.frame(audio.end, len(audio.samples), speech, loud))
                if self.voices is not None and self._open is not None:
                    self.voices.over_reply(self, self._open, audio.end - self._opened)
                if not self.turns.busy:
                    self.at_rest(self)

    async def words(self, source: Source[Transcript]) -> None:
        """Hear words until ASR ends."""
        async with source:
            async for words in source:
                transcript = self._without_echo(words)
                if transcript.utterance != self._open:
                    continue
                self._text = transcript.text
                if transcript.final:
                    self._final_at, self._asked = monotonic(), None
                self.act(self.turns.transcript(transcript))
                if not transcript.final:
                    self._foresee(transcript)
                if transcript.utterance == self._open:  # else they are shown as the turn's
                    self._show(transcript)

    def pull(self) -> Samples:
        """Return the next frame of the reply for the line, and know it again if it comes back."""
        frame = self.replies.playout.pull()
        if self.turns.settings.echo_guard:
            self._guard.played(frame)
        return frame

    def act(self, actions: list[Action]) -> None:
        """Do what was decided."""
        for action in actions:
            match action:
                case Open():
                    self._do_open(action)
                case AskFinal():
                    self._do_ask(action)
                case Close():
                    self._do_close(action)
                case Release():
                    self._do_release(action)
                case Interrupt():
                    self._do_interrupt(action)
                case Prepare():
                    self.replies.prepare(action, self._open)
                case Drop() | Hold() | GoOn():
                    self.replies.act(action)

    # --- the decisions, one by one ----------------------------------------------------------

    def _do_open(self, action: Open) -> None:
        self._open, self._text, self._final_at = action.utterance, "", None
        while self._recent[0].end <= action.start:
            self._recent.popleft()
        first = self._recent[0]
        begin = max(first.start, action.start)
        self._recent[0] = Audio(first.samples[begin - first.start :], begin)
        self._opened = begin
        self._tell(UtteranceStart(action.utterance, begin))
        for audio in self._recent:
            self._tell(audio)

    def _do_ask(self, action: AskFinal) -> None:
        self._asked = action.at
        self._tell(Pause(action.utterance, action.at))
        context = PauseContext(
            self.utterance_audio(), self._text, self.profile.language, action.silence
        )
        self.tasks.start_soon(self._judge, action, context)
        if self.voices is not None:
            self.voices.at_pause(self, action.utterance)

    def _do_close(self, action: Close) -> None:
        self._tell(UtteranceEnd(action.utterance))
        silent_for = self._recent[-1].end - (self._asked or self._recent[-1].end)
        if silent_for >= samples_in(FINAL_DEADLINE_MS):
            self.blame("asr: no words came")
            self.line.send(Trouble(sentence="asr: no words came; please say it again."))
        self._closed, self._open, self._asked = action.utterance, None, None

    def _do_release(self, action: Release) -> None:
        now = monotonic()
        marks: dict[Mark, float] = {"endpoint": now}
        if action.speech_end is not None and action.endpoint is not None:
            marks = {
                "speech_end": self.line.spoken_at(action.speech_end),
                "endpoint": min(now, self.line.spoken_at(action.endpoint) + self._lag),
            }
            if self._final_at is not None:
                marks["asr_final"] = self._final_at
        if action.turn:
            self.line.send(
                Heard(turn=action.turn, text=action.text, stable=len(action.text), final=True)
            )
        utterance = None if action.speech_end is None else self._closed  # none: it was typed
        self.replies.release(action, marks, utterance)

    def _do_interrupt(self, action: Interrupt) -> None:
        start = action.speech_start
        self.replies.interrupt(action, None if start is None else self.line.spoken_at(start))

    async def _judge(self, action: AskFinal, context: PauseContext) -> None:
        complete = 0.5
        with anyio.move_on_after(JUDGE_S) as scope:
            try:
                with blamed("turn"):
                    complete = await self.detector.judge(context)
            except* StageError as group:
                self.blame(first_sentence(group))
                _log.warning("no opinion about a pause", exc_info=True)
        if scope.cancelled_caught:
            self.blame(f"turn: no opinion within {JUDGE_S:g} s")
        self.turns.judged(action.utterance, action.at, complete)

    # --- echo -------------------------------------------------------------------------------

    def _speech(self, frame: VadFrame) -> float:
        if not self.turns.settings.echo_guard:
            return frame.speech
        return self._guard.judge(frame.audio.samples, frame.speech)

    def _without_echo(self, transcript: Transcript) -> Transcript:
        """Take words for none that only repeat what the caller is hearing."""
        guarded = self.turns.settings.echo_guard
        if guarded and repeats(transcript.text, self.replies.saying):
            return replace(transcript, text="", stable=0, words=())
        return transcript

    # --- helpers ----------------------------------------------------------------------------

    def _tell(self, item: AsrInput) -> None:
        try:
            self.asr.send_nowait(item)
        except (anyio.WouldBlock, anyio.BrokenResourceError):
            raise Transient("asr", "it has stopped taking audio") from None
        except anyio.ClosedResourceError:
            return  # the caller is gone, and what they typed last is being read

    def _remember(self, audio: Audio) -> None:
        """Keep the pre-roll while nobody speaks, and what a turn detector wants of an utterance."""
        self._recent.append(audio)
        settings = self.turns.settings
        kept = JUDGED if self._open is not None else samples_in(2 * settings.pre_roll_ms)
        kept += samples_in(settings.start_ms) + len(audio.samples)
        while audio.end - self._recent[0].start > kept:
            self._recent.popleft()

    def _foresee(self, partial: Transcript) -> None:
        """Let the LLM read ahead, to the last word and mark: if they stay, nothing is left.

        Where the final is about to come, and will say more, reading would only be in its way.
        """
        late = self.turns.levels.end_is_after(partial.upto)
        if partial.text and self.turns.settings.speculate and not late:
            self.replies.foresee(self.turns.said_with(partial.text))

    def utterance_audio(self) -> Samples:
        """Return the newest of the open utterance, 8 s at most, its pre-roll included."""
        return np.concatenate([audio.samples for audio in self._recent])[-JUDGED:]

    def _show(self, transcript: Transcript) -> None:
        """Show words as they come; those of a turn are shown as final when it ends."""
        if transcript.text:
            text, stable = self.turns.said_with(transcript.text), transcript.stable
            shift = len(text) - len(transcript.text)
            self.line.send(Heard(turn=self.turns.turn, text=text, stable=stable + shift))
