"""The replies of a call: prepared on a guess, released, dropped, held, interrupted, remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic

import anyio
from anyio.abc import TaskGroup

from agent.decisions import Drop, GoOn, Hold, Interrupt, Prepare, Release
from agent.engines import Stages
from agent.entry import Entry
from agent.foresee import Foreseeing
from agent.guess import Guess
from agent.history import History, heard
from agent.line import Line
from agent.memory.recall import Recall
from agent.messages import (
    Flush,
    GoOnWord,
    HeardReply,
    HoldWord,
    Playing,
    ReplyEnd,
    Silenced,
    State,
    TimelineWord,
)
from agent.playout import Playout, ReplyAudio
from agent.profile import Profile
from agent.speak import Script, speak
from agent.timeline import Lateness, Mark, Timeline, TurnRecord
from agent.toolbox.belt import Belt, Errands
from agent.turn import Turns
from stages.events import ChatRequest

EAR_S = 2.0
"""How long a turn's record waits for the caller's ear after the reply is over."""


@dataclass(eq=False)
class Replies:
    """Makes and ends the replies of one connection.

    Args:
        call: its name, for the records.
        turns: told which replies became audible, and which have ended by themselves.
        keep: takes the finished records.
    """

    call: str
    profile: Profile
    stages: Stages
    history: History
    line: Line
    tasks: TaskGroup
    turns: Turns
    keep: Callable[[TurnRecord], None]
    playout: Playout = field(init=False)
    belt: Belt | None = None  # the character's tools
    recall: Recall | None = None  # its memory, where it has one
    late: Callable[[float, float], Lateness | None] = lambda begin, end: None  # the event loop
    own_words: str = ""  # said by the next reply that belongs to no turn; else it is the greeting
    _entries: dict[int, Entry] = field(default_factory=dict)
    _missed: list[tuple[float, int]] = field(default_factory=list)  # this turn's: begun, tokens
    _foreseeing: Foreseeing = field(init=False)

    def __post_init__(self) -> None:
        self.playout = Playout(started=self._started, ended=self._ended)
        self.turns.unheard = self.playout.unheard
        self._foreseeing = Foreseeing(self.tasks)

    # --- what turn-taking asks for ----------------------------------------------------------

    def act(self, action: Drop | Hold | GoOn) -> None:
        """Do what needs no more to be known."""
        match action:
            case Drop():
                self.drop(action.reply)
            case Hold():
                self.hold(action.reply)
            case GoOn():
                self.go_on(action.reply)

    def foresee(self, said: str) -> None:
        """Let the LLM read what the caller has said so far, unless a reply is being made.

        Nor if another caller waits for one: a reading takes the cores as much as a reply does. With
        a memory it is not: whose it is to be is known only at a pause.
        """
        mine_over = self.recall is None and all(entry.over for entry in self._entries.values())
        if mine_over and self.stages.crowd.has_room_for("readings"):
            messages = self.history.request(self.turns.turn, said)
            self._foreseeing.read(self.stages.llm, messages)

    def prepare(self, action: Prepare, utterance: int | None = None) -> None:
        """Begin to make a reply on a guess; ``utterance`` is the one that it answers.

        While others wait for theirs, it is not made before it is due.
        """
        if not self.stages.crowd.has_room_for("guesses"):
            return
        entry = self._entry(action.reply, action.turn, action.text)
        if self.recall is not None:
            entry.pieces = self.recall.pieces(action.turn, utterance)
        entry.begun = monotonic()
        entry.timeline.guess(entry.begun)
        self.tasks.start_soon(self._make, entry)

    def drop(self, number: int) -> None:
        """Throw a prepared reply away."""
        entry = self._entries.pop(number, None)
        if entry is not None:  # else a switch has dropped it
            self._missed.append((entry.begun, entry.tokens))
            entry.scope.cancel()

    def release(
        self, action: Release, marks: dict[Mark, float], utterance: int | None = None
    ) -> None:
        """Play a reply, prepared or not.

        Args:
            action: what turn-taking decided.
            marks: those of the listening lane, in seconds.
            utterance: the one that it answers; none: typed words.
        """
        entry = self._entries.get(action.reply) if action.prepared else None
        pieces = self.recall.pieces(action.turn, utterance) if self.recall is not None else ()
        if self.recall is not None and action.turn:
            self.recall.spoken(action.turn, utterance)
        if entry is None:
            entry = self._entry(action.reply, action.turn, action.text)
            entry.pieces = pieces
            self.tasks.start_soon(self._make, entry)
        elif action.prepared:
            entry.timeline.guess_used()
        self._missed.clear()
        for name, at in marks.items():
            entry.timeline.mark(name, at)
        entry.timeline.user_text = action.text
        if action.turn:
            self.stages.crowd.waits(entry, monotonic())
            self.history.user(action.turn, action.text)
            self.line.send(State(state="thinking"))
        entry.release()
        self.playout.play(entry.audio)

    @property
    def saying(self) -> str:
        """The text of the reply that is heard now, as far as it is known; empty: there is none."""
        for entry in self._entries.values():
            if entry.audio.begun and not entry.over:
                return entry.timeline.reply_text
        return ""

    def hold(self, number: int) -> None:
        """Pause a reply; what the page has not heard of it yet, it shall not hear."""
        self.playout.hold()
        entry = self._entries.get(number)
        if entry is not None and entry.audio.begun:
            self.line.send(HoldWord(turn=entry.timeline.turn, reply=number))

    def go_on(self, number: int) -> None:
        """Let a held reply go on from where it was heard last."""
        self.playout.go_on()
        entry = self._entries.get(number)
        if entry is not None and entry.audio.begun:
            self.line.send(GoOnWord(turn=entry.timeline.turn, reply=number))

    def interrupt(self, action: Interrupt, speech_start: float | None) -> None:
        """End a reply: be silent, close its streams, remember what was heard of it."""
        entry = self._entries.get(action.reply)
        if entry is None or entry.over:
            return
        turn, start = entry.timeline.turn, None if speech_start is None else speech_start * 1000
        if speech_start is not None:
            entry.timeline.interruption(speech_start)
        self.playout.cut(action.reply)
        if entry.audio.begun:  # else there is nothing to be silent about
            self.line.send(Flush(turn=turn, reply=action.reply, speech_start=start))
        entry.scope.cancel()
        self._finish(entry, interrupted=True)

    def switch(self, profile: Profile, stages: Stages) -> None:
        """Go on as another character: its voice from the next clause, its mind from the next turn.

        What was prepared is the other's answer: it is made anew when it is released.
        """
        self.profile, self.stages = profile, stages
        for number, entry in list(self._entries.items()):
            if not entry.released:
                self.drop(number)
            elif not entry.over:
                entry.recast.ask(stages.mouths)

    def abandon(self) -> None:
        """The line is gone: end every reply, remembering what was heard."""
        for number, entry in list(self._entries.items()):
            self.playout.cut(number)
            entry.scope.cancel()
            if entry.released and not entry.over:
                entry.timeline.line_ended = True
                self._finish(entry, interrupted=True)
            elif not entry.over:
                del self._entries[number]

    # --- what the page reports --------------------------------------------------------------

    def heard(self, report: HeardReply) -> None:
        """Take the ear's measurement into the record."""
        entry = self._entries.get(report.reply)
        if entry is None or not entry.released:
            return
        end = None if report.speech_end is None else report.speech_end / 1000
        entry.timeline.ear(report.heard / 1000, end, report.uncertainty)
        self._show(entry)

    def silenced(self, report: Silenced) -> None:
        """Take the ear's measurement of an interruption into the record."""
        entry = self._entries.get(report.reply)
        if entry is not None and entry.over and report.speech_start is not None:
            entry.timeline.barge_in(report.speech_start / 1000, report.at / 1000)
            self._show(entry)

    # --- one reply --------------------------------------------------------------------------

    def _entry(self, number: int, turn: int, text: str) -> Entry:
        timeline = Timeline(
            call=self.call,
            turn=turn,
            reply=number,
            profile=self.profile.id,
            stages=dict(self.stages.names),
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            late=self.late,
        )
        for begun, tokens in self._missed:
            timeline.guess(begun)
            timeline.guess_dropped(tokens)
        entry = Entry(timeline, ReplyAudio(number), self._script(turn, text), self.line.send)
        entry.recall = self.recall
        self._entries[number] = entry
        return entry

    def _script(self, turn: int, text: str) -> Script:
        greeting = "" if turn else self.own_words or self.profile.greeting
        self.own_words = ""
        request = None
        if turn:
            llm = self.profile.llm
            messages = self.history.request(turn, text)
            request = ChatRequest(messages, llm.temperature, llm.max_tokens)
        language = self.profile.language
        errands = Errands(self.belt) if turn and self.belt is not None else None
        guess, stages = Guess(self.turns.settings.guess_tokens), self.stages
        return Script(
            stages.llm, stages.mouths, language, request, greeting, errands=errands, guess=guess
        )

    async def _make(self, entry: Entry) -> None:
        self._foreseeing.stop()
        with entry.scope:
            await _remind(entry)
            await speak(entry.script, entry.audio, entry, entry.recast)

    def _started(self, number: int) -> None:
        entry = self._entries[number]
        entry.mark("playout_first")
        self.stages.crowd.answered(entry, monotonic())
        at, timeline = entry.timeline.marks["playout_first"], entry.timeline
        end = timeline.marks.get("speech_end")
        ended = None if end is None else end * 1000
        self.line.send(Playing(turn=timeline.turn, reply=number, at=at * 1000, speech_end=ended))
        self.line.send(State(state="speaking"))
        self.turns.audible(number)

    def _ended(self, number: int) -> None:
        entry = self._entries.get(number)
        if entry is None or entry.over:
            return
        self._finish(entry, interrupted=False)
        self.turns.over(number)

    def _finish(self, entry: Entry, *, interrupted: bool) -> None:
        """Remember the reply as it was heard, and let its record wait for the ear."""
        entry.over = True
        entry.scope.cancel()
        self.stages.crowd.gone(entry)
        timeline, audio = entry.timeline, entry.audio
        text = heard(audio.spans, audio.played, complete=not interrupted)
        timeline.heard_text, timeline.interrupted = text, interrupted
        if not audio.begun:
            timeline.unheard(entry.tokens)
        if entry.script.errands is not None:
            timeline.tools = entry.script.errands.used
        self.history.reply(timeline.turn or -timeline.reply, text)  # each of ours is an entry
        if entry.recall is not None and entry.person:
            entry.recall.keep(entry.person, timeline)
        self.line.send(
            ReplyEnd(turn=timeline.turn, reply=timeline.reply, heard=text, interrupted=interrupted)
        )
        self.line.send(State(state="listening"))
        self._foreseeing.turn_over()
        self.foresee("")  # what the reply left unread
        self._show(entry)
        self.tasks.start_soon(self._file, entry)

    async def _file(self, entry: Entry) -> None:
        """Keep the record once the ear has had its time; at once when the call ends."""
        try:
            await anyio.sleep(EAR_S)
        finally:
            self._entries.pop(entry.timeline.reply, None)
            if entry.timeline.turn:  # the greeting answers nobody
                self.keep(entry.timeline.record())

    def _show(self, entry: Entry) -> None:
        if entry.timeline.turn:
            record = entry.timeline.record().to_dict()
            self.line.send(TimelineWord(turn=entry.timeline.turn, record=record))


async def _remind(entry: Entry) -> None:
    """Find out whom a reply answers, and tell the model what is remembered of them."""
    recall, request = entry.recall, entry.script.request
    if recall is None or request is None:
        return
    person = await recall.person(entry.pieces)
    entry.person = person.name
    opening = len(recall.profile.opening())
    said = request.messages
    told = (*said[:opening], *person.messages, *said[opening:])
    entry.script = replace(entry.script, request=replace(request, messages=told))
