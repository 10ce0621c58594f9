"""Who speaks in a call: every final is scored, and what a profile makes of it is done.

The identity goes to the page and to whoever looks on, as data. No model is ever told a name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from agent.blame import blamed
from agent.errors import NotPossible
from agent.line import Line
from agent.messages import Recognised, Trouble
from agent.prints import Identity, VoicePrint, identify, spoken
from agent.profile import SpeakersChoice
from agent.speakers import SpeakerBook
from agent.turn import Turns
from stages.audio import samples_in
from stages.contracts import Speaker
from stages.errors import StageError, Transient, UserError, the_one
from stages.events import Print, Samples

FIRST, AGAIN = samples_in(800), samples_in(400)
"""Speech after which a voice over a reply is first scored, and then again while it is not known."""
SCORE_S = 2.0
"""How long a score may take; then the voice counts as not known."""
LATEST = 16
"""Utterances of which it is remembered whose they were."""

HELLO = {"zh": "你好，{name}！", "en": "Nice to hear you, {name}."}

_log = logging.getLogger(__name__)


class Hearer(Protocol):
    """What is asked of the listening lane."""

    @property
    def line(self) -> Line:
        """Where the page is."""

    @property
    def turns(self) -> Turns:
        """Who has the word."""

    @property
    def tasks(self) -> TaskGroup:
        """Owns the scoring."""

    @property
    def blame(self) -> Callable[[str], None]:
        """Told the sentence of each failure of the network."""

    def utterance_audio(self) -> Samples:
        """Return the newest of the utterance, 8 s at most."""

    def act(self, actions: list) -> None:  # type: ignore[type-arg]
        """Do what was decided."""


@dataclass(frozen=True, slots=True)
class Company:
    """What a profile wants of voices, and the network that knows them; shared by calls."""

    stage: Speaker
    choice: SpeakersChoice
    language: str
    book: SpeakerBook = field(default_factory=SpeakerBook)

    def in_call(self, say: Callable[[str], bool]) -> Voices:
        """Return what one connection knows; ``say`` has the character say a text."""
        return Voices(self, say)


@dataclass(eq=False)
class _Final:
    """Whose an utterance was up to its newest pause."""

    named: set[str]  # at all of its pauses so far
    name: str = ""
    scored: anyio.Event = field(default_factory=anyio.Event)


@dataclass(eq=False)
class Voices:
    """The voices of one connection.

    Attributes:
        latest: whose the newest final was, as far as one can tell.
    """

    company: Company
    say: Callable[[str], bool]
    latest: Identity | None = None
    _known: tuple[VoicePrint, ...] | None = None
    _greeted: set[str] = field(default_factory=set)
    _finals: dict[int, _Final] = field(default_factory=dict)  # by utterance
    _utterance: int = 0
    _due: int = 0  # samples of the utterance at which it is scored over a reply
    _scoring: bool = False
    _told: bool = False

    def take_over(self, turns: Turns) -> None:
        """Have turn-taking ask for what the profile wants to know."""
        choice = self.company.choice
        turns.answers_known = choice.owner_only
        turns.yields_to_known = choice.owner_only or choice.ignore_others

    def over_reply(self, ears: Hearer, utterance: int, heard: int) -> None:
        """Score whoever speaks over a reply, as soon as there is enough of it.

        Args:
            ears: the listening lane.
            utterance: the open one.
            heard: samples of it so far.
        """
        if utterance != self._utterance:
            self._utterance, self._due = utterance, FIRST
        if heard < self._due or self._scoring or not ears.turns.wants_to_know:
            return
        self._due = heard + AGAIN
        ears.tasks.start_soon(self._score, ears, utterance, None)

    def at_pause(self, ears: Hearer, utterance: int) -> None:
        """Score the utterance up to a pause."""
        earlier = self._finals.get(utterance)
        final = self._finals[utterance] = _Final(earlier.named if earlier else set())
        while len(self._finals) > LATEST:
            del self._finals[next(iter(self._finals))]
        ears.tasks.start_soon(self._score, ears, utterance, final)

    async def whose(self, utterance: int) -> str:
        """Return the name of who speaks in an utterance, up to its newest pause.

        It is empty for a voice that is not known, or not known in time, and where two voices
        that are known were heard in it.
        """
        final = self._finals.get(utterance)
        if final is None:
            return ""
        with anyio.move_on_after(SCORE_S):
            await final.scored.wait()
        return final.name if final.named <= {final.name} else ""

    async def _score(self, ears: Hearer, utterance: int, final: _Final | None) -> None:
        samples, turn = ears.utterance_audio(), ears.turns.turn
        self._scoring = True
        try:
            identity = await self._identify(ears, samples)
            self._note(identity, final)
        finally:
            self._scoring = False
        welcome = self._welcome(identity)
        if final is not None or welcome:  # before the end nobody is turned away
            ears.act(ears.turns.identified(utterance, welcome))
        if final is not None and identity is not None:
            self.latest = identity
            ears.line.send(
                Recognised(
                    turn=turn, name=identity.name, score=identity.score, margin=identity.margin
                )
            )
        if identity is not None:
            self._greet(identity)

    def _note(self, identity: Identity | None, final: _Final | None) -> None:
        """Remember whose an utterance was, for those who wait to know it."""
        if final is None:
            return
        final.name = identity.name if identity is not None else ""
        final.named |= {final.name} - {""}
        final.scored.set()

    async def _identify(self, ears: Hearer, samples: Samples) -> Identity | None:
        """Return whose voice it is; none, after saying why, where that cannot be told."""
        stage, choice = self.company.stage, self.company.choice
        try:
            if self._known is None:
                self._known = await to_thread.run_sync(self._read)
            print_ = await self._print_of(samples)
        except (UserError, StageError) as error:
            if isinstance(error, StageError):  # else somebody is not enrolled
                ears.blame(str(error))
            self._unknown(ears, str(error))
            return None
        threshold = stage.threshold if choice.threshold is None else choice.threshold
        return identify(print_, self._known, threshold, choice.margin)

    async def _print_of(self, samples: Samples) -> Print:
        """Embed a voice.

        Raises:
            StageError: the network failed, whatever it broke with, or took too long.
        """
        try:
            with anyio.fail_after(SCORE_S), blamed("speaker"):
                return await self.company.stage.embed(spoken(samples))
        except TimeoutError:
            raise Transient("speaker", f"no score after {SCORE_S:g} s") from None
        except BaseExceptionGroup as group:
            raise the_one(group) or group from None

    def _read(self) -> tuple[VoicePrint, ...]:
        """Return who can be recognised by this network.

        Raises:
            NotPossible: the prints cannot be read, or nobody is there whom the profile answers.
        """
        model, choice = self.company.stage.model, self.company.choice
        known = tuple(one for one in self.company.book.read() if one.model == model)
        wanted = [one for one in known if choice.owner in ("", one.name)]
        if not wanted and (choice.owner_only or choice.ignore_others):
            who = choice.owner or "Nobody"
            raise NotPossible(
                f"{who} is not enrolled for {model}; firstword speaker enrol makes a voice known."
            )
        return known

    def _unknown(self, ears: Hearer, why: str) -> None:
        """Say once a call why voices are not told apart."""
        if self._told:
            return
        self._told = True
        _log.warning("voices are not told apart: %s", why)
        only = self.company.choice.owner_only
        rest = "This character answers only voices it knows, so it answers nobody." if only else ""
        ears.line.send(Trouble(sentence=f"Voices are not told apart: {why} {rest}".strip()))

    def _welcome(self, identity: Identity | None) -> bool:
        """Tell whether a voice may have the word; one that cannot be told may, unless by owner."""
        choice = self.company.choice
        if identity is None:
            return not choice.owner_only
        return bool(identity.name) and choice.owner in ("", identity.name)

    def _greet(self, identity: Identity) -> None:
        name = identity.name
        if not name or name in self._greeted or not self.company.choice.greet:
            return
        self._greeted.add(name)
        chinese = self.company.language.lower().startswith("zh")
        self.say(HELLO["zh" if chinese else "en"].format(name=name))
