"""A caller on the sample clock: says and is silent frame by frame, and notes what is decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

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
from agent.interrupt import is_backchannel
from agent.turn import Turns
from agent.turn_settings import TurnSettings
from stages.audio import samples_in
from stages.events import Transcript

A = TypeVar("A")


def knobs(**values: Any) -> TurnSettings:
    return TurnSettings.model_validate(values)


@dataclass
class Floor:
    """One conversation; ``frame_ms`` is what the VAD gives."""

    settings: TurnSettings = field(default_factory=knobs)
    frame_ms: int = 20
    levels: bool = False
    position: int = 0
    last_loud: int = 0
    done: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.turns = Turns(self.settings)

    def note(self, actions: list[Action]) -> list[Action]:
        self.done += actions
        return actions

    def hear(self, ms: float, probability: float, loud: bool | None = None) -> list[Action]:
        """Let that much time pass, at least; return what was decided in it.

        ``loud`` tells whether it was, where ``levels`` are listened to; else what may be speech is.
        """
        until, actions = self.position + samples_in(ms), list[Action]()
        while self.position < until:
            samples = samples_in(self.frame_ms)
            self.position += samples
            if probability >= self.settings.threshold if loud is None else loud:
                self.last_loud = self.position
            place = self.last_loud if self.levels else None
            actions += self.turns.frame(self.position, samples, probability, place)
        return self.note(actions)

    def speak(self, ms: float) -> list[Action]:
        return self.hear(ms, 0.95)

    def be_silent(self, ms: float) -> list[Action]:
        return self.hear(ms, 0.05)

    def final(
        self, text: str, ask: AskFinal | None = None, goes_on: float | None = None
    ) -> list[Action]:
        """Answer the newest question for words, or an older one."""
        ask = ask or self.last(AskFinal)
        words = Transcript(
            ask.utterance, text, ask.at, final=True, stable=len(text), goes_on=goes_on
        )
        return self.note(self.turns.transcript(words))

    def partial(self, text: str, endpoint: bool = False) -> list[Action]:
        number = self.last(Open).utterance
        words = Transcript(number, text, self.position, endpoint=endpoint)
        return self.note(self.turns.transcript(words))

    def judge(self, complete: float) -> None:
        ask = self.last(AskFinal)
        self.turns.judged(ask.utterance, ask.at, complete)

    def write(self, text: str) -> list[Action]:
        return self.note(self.turns.typed(text))

    def turn(self, text: str, ms: float = 1000) -> Release:
        """Say something and wait for the endpoint."""
        self.speak(ms)
        self.be_silent(self.settings.pause_ms + self.frame_ms)
        self.final(text)
        self.judge(1.0)
        self.be_silent(self.settings.cap_ms)
        return self.last(Release)

    def all(self, kind: type[A]) -> list[A]:
        return [action for action in self.done if isinstance(action, kind)]

    def last(self, kind: type[A]) -> A:
        return self.all(kind)[-1]


QUICK = knobs(confident_ms=200, doubtful_ms=700, cap_ms=1200)


def kinds(actions: list[Action]) -> list[str]:
    return [type(action).__name__ for action in actions]


def replying(floor: Floor, text: str = "Tell me a story.") -> int:
    reply = floor.turn(text).reply
    floor.turns.audible(reply)
    floor.be_silent(300)
    floor.done.clear()
    return reply


@dataclass
class Ledger:
    """Checks what holds of every decision, whatever happened before."""

    opened: int = 0
    open: int | None = None
    made: int = 0
    prepared: set[int] = field(default_factory=set)
    sounding: int | None = None
    held: bool = False
    spent: int = 0  # newest position that an utterance that is over has used

    def enter(self, action: Action) -> None:
        match action:
            case Open():
                assert self.open is None
                assert action.utterance > self.opened
                assert action.start >= self.spent
                self.opened = self.open = action.utterance
            case AskFinal():
                assert self.open == action.utterance
            case Close():
                assert self.open == action.utterance
                assert not self.prepared or self.sounding is None
                self.open = None
            case Prepare() | Drop() | Release():
                self._make(action)
            case Hold() | GoOn() | Interrupt():
                self._play(action)

    def _make(self, action: Prepare | Drop | Release) -> None:
        match action:
            case Prepare():
                assert self.open is not None
                assert self.sounding is None
                assert not self.prepared
                self._number(action.reply)
                self.prepared.add(action.reply)
            case Drop():
                self.prepared.remove(action.reply)
            case Release():
                assert self.sounding is None
                assert self.open is None
                if action.prepared:
                    self.prepared.remove(action.reply)
                else:
                    self._number(action.reply)
                assert not self.prepared
                self.sounding, self.held = action.reply, False
                self.spent = max(self.spent, action.speech_end or 0)

    def _number(self, reply: int) -> None:
        assert reply > self.made
        self.made = reply

    def _play(self, action: Hold | GoOn | Interrupt) -> None:
        assert action.reply == self.sounding
        match action:
            case Hold():
                assert not self.held
                self.held = True
            case GoOn():
                assert self.held
                self.held = False
            case Interrupt():
                self.sounding, self.held = None, False


@dataclass
class Promises:
    """Checks that what a caller said is answered: once, and in the turn that it belongs to."""

    answers_known: bool = False
    yields_to_known: bool = False
    known: set[int] = field(default_factory=set)  # utterances of voices that may have the word
    told: set[int] = field(default_factory=set)  # … of which it was told whose they are
    audible: set[int] = field(default_factory=set)  # replies
    newest: Release | None = None
    owed: str = ""  # words of a turn whose reply was cut off before it was heard
    _turn: int = 0
    _ask: AskFinal | None = None
    _finals: dict[tuple[int, int], str] = field(default_factory=dict)  # the first for each pause
    _due: str | None = None  # an utterance is over: the next decision answers these words

    def final(self, ask: AskFinal, words: str) -> None:
        self._finals.setdefault((ask.utterance, ask.at), words)

    @property
    def forced(self) -> bool:
        """Whether the newest question for words was that of an utterance that was too long."""
        return self._ask is not None and not self._ask.silence

    def enter(self, action: Action, sounding: int | None, unheard: bool, typed: bool) -> None:
        """Take in a decision, before the ledger does."""
        assert self._due is None or isinstance(action, Release)
        match action:
            case AskFinal():
                assert self._ask is None or action.at > self._ask.at
                self._ask = action
            case Interrupt():
                assert self.newest is not None
                if action.reply not in self.audible or unheard:
                    self.owed = self.newest.text
            case Close() if not typed:
                self._closed(action.utterance, sounding)
            case Release():
                self._released(action, typed)
            case _:
                pass

    def _closed(self, utterance: int, sounding: int | None) -> None:
        assert self._ask is not None
        words = self._finals.get((utterance, self._ask.at), "")
        unknown = utterance not in self.told
        if sounding is not None:
            yields = self.yields_to_known or sounding in self.audible
            assert is_backchannel(words) or yields or self.answers_known
        elif self.answers_known and utterance not in self.known:
            pass  # a stranger is not answered
        elif self.yields_to_known and unknown:
            pass  # they were over a reply, and nobody said whose they are
        elif words or self.owed:
            self._due = words

    def _released(self, release: Release, typed: bool) -> None:
        if self._due is not None and not typed:
            assert release.text.startswith(self.owed)
            assert release.text.endswith(self._due)
            assert not self._due or release.text == f"{self.owed} {self._due}".strip()
            assert self._ask is not None
            assert release.speech_end is not None
            assert release.speech_end <= self._ask.at  # the words are those of all of it
        if release.turn:
            merged = bool(self.owed) and not typed
            assert release.turn == self._turn if merged else release.turn > self._turn
            self._turn = release.turn
        self.newest, self.owed, self._due = release, "", None
