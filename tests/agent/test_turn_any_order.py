"""Who has the word, whatever happens in whatever order, levels known or not."""

from __future__ import annotations

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.decisions import AskFinal, Open, Release
from agent.turn import FINAL_DEADLINE_MS, NOISE_MS
from agent.turn_settings import TurnSettings
from stages.audio import milliseconds_in, samples_in
from stages.events import Transcript
from tests.agent.taking_turns import Floor, Ledger, Promises, knobs

WORDS = st.sampled_from(["", "mm", "hello", "and so", "好的", "twenty two", "What now?"])

LONG = samples_in(20_000)
"""A call may end from there on."""


class AnyCall(RuleBasedStateMachine):
    """Everything that may happen in a call, in any order, late news included."""

    levels = False

    @initialize(
        settings=st.builds(
            knobs,
            interruptible=st.booleans(),
            speculate=st.booleans(),
            tries=st.integers(1, 3),
            start_ms=st.sampled_from([0, 64]),
            pre_roll_ms=st.sampled_from([0, 320]),
            longest_ms=st.sampled_from([2000, 30_000]),
            confident_ms=st.sampled_from([100, 300]),
        ),
        frame_ms=st.sampled_from([20, 32]),
        company=st.sampled_from([(False, False)] * 3 + [(False, True), (True, True)]),
        greeting=st.booleans(),
    )
    def begin(
        self,
        settings: TurnSettings,
        frame_ms: int,
        company: tuple[bool, bool],
        greeting: bool,
    ) -> None:
        self.floor, self.ledger = Floor(settings, frame_ms, self.levels), Ledger()
        self.promises = Promises(*company)
        self.floor.turns.answers_known, self.floor.turns.yields_to_known = company
        self.checked, self.gone, self.is_typed = 0, False, False
        self.unheard = True
        self.floor.turns.unheard = lambda reply: self.unheard
        if greeting:
            self.floor.note(self.floor.turns.greet())

    @rule(ms=st.sampled_from([20, 60, 120, 400, 700, 2500]))
    def speak(self, ms: int) -> None:
        self.floor.speak(ms)

    @rule(ms=st.sampled_from([20, 60, 120, 300, 1000, 7000]))
    def be_silent(self, ms: int) -> None:
        self.floor.be_silent(ms)

    @rule(ms=st.sampled_from([20, 100]), probability=st.floats(0, 1), loud=st.booleans())
    def murmur(self, ms: int, probability: float, loud: bool) -> None:
        self.floor.hear(ms, probability, loud)

    @precondition(lambda self: self.floor.all(AskFinal))
    @rule(data=st.data(), words=WORDS)
    def final(self, data: st.DataObject, words: str) -> None:
        asks = self.floor.all(AskFinal)[-3:]
        ask = data.draw(st.sampled_from(asks[::-1]))
        self.promises.final(ask, words)
        self.floor.final(words, ask)

    @precondition(lambda self: self.floor.all(Open))
    @rule(words=WORDS, back=st.integers(0, 1))
    def partial(self, words: str, back: int) -> None:
        number = self.floor.last(Open).utterance - back
        said = Transcript(number, words, self.floor.position)
        self.floor.note(self.floor.turns.transcript(said))

    @precondition(lambda self: self.floor.all(AskFinal))
    @rule(complete=st.floats(0, 1), back=st.integers(1, 2))
    def judged(self, complete: float, back: int) -> None:
        ask = self.floor.all(AskFinal)[-back:][0]
        self.floor.turns.judged(ask.utterance, ask.at, complete)

    @precondition(lambda self: self.floor.all(Open))
    @rule(known=st.booleans(), back=st.integers(0, 1))
    def identified(self, known: bool, back: int) -> None:
        number = self.floor.last(Open).utterance - back
        if number == self.ledger.open:
            self.promises.told.add(number)
        if number == self.ledger.open and known:
            self.promises.known.add(number)
        self.floor.note(self.floor.turns.identified(number, known))

    @precondition(lambda self: self.floor.all(Release))
    @rule(back=st.integers(1, 2))
    def audible(self, back: int) -> None:
        reply = self.floor.all(Release)[-back:][0].reply
        self.promises.audible |= {reply} & {self.ledger.sounding}
        self.floor.turns.audible(reply)

    @rule(unheard=st.booleans())
    def a_word_of_the_reply_was_heard_or_not(self, unheard: bool) -> None:
        self.unheard = unheard

    @precondition(lambda self: self.floor.all(Release))
    @rule(back=st.integers(1, 2))
    def ended(self, back: int) -> None:
        reply = self.floor.all(Release)[-back:][0].reply
        if reply == self.ledger.sounding and self.ledger.held:
            return  # a held reply does not end
        self.floor.turns.over(reply)
        if reply == self.ledger.sounding:
            self.ledger.sounding = None

    @rule(words=WORDS)
    def typed(self, words: str) -> None:
        self.is_typed = True
        self.floor.write(words)

    @precondition(lambda self: self.floor.position > LONG)
    @rule()
    def hang_up(self) -> None:
        self.gone = True
        self.floor.turns.hang_up()

    @invariant()
    def every_decision_made_sense(self) -> None:
        news = self.floor.done[self.checked :]
        assert not (self.gone and news)
        for action in news:
            self.promises.enter(action, self.ledger.sounding, self.unheard, self.is_typed)
            self.ledger.enter(action)
            if isinstance(action, Release):
                self.released_in_time(action)
        self.checked, self.is_typed = len(self.floor.done), False

    def released_in_time(self, release: Release) -> None:
        if release.endpoint is None or release.speech_end is None:
            return
        chosen = self.floor.settings
        waited = milliseconds_in(release.endpoint - release.speech_end)
        forced = release.endpoint == release.speech_end
        assert forced or waited >= min(chosen.confident_ms, chosen.cap_ms)
        # unconfirmed blips are passed over, the last of them up to start_ms long
        slack = FINAL_DEADLINE_MS + chosen.start_ms + 120 + 2 * self.floor.frame_ms
        assert waited <= max(chosen.cap_ms, NOISE_MS) + slack
        assert release.text

    @invariant()
    def it_knows_when_it_is_busy(self) -> None:
        busy = self.ledger.open is not None or self.ledger.sounding is not None
        assert self.floor.turns.busy == (busy and not self.gone)
        assert busy or not self.ledger.prepared

    def teardown(self) -> None:
        """In silence all comes to its end but the reply that plays, and all words are answered."""
        if hasattr(self, "floor"):
            for _ in range(40):
                self.floor.be_silent(250)
            self.every_decision_made_sense()
            if self.gone:
                return
            assert not self.promises.owed or self.promises.answers_known
            assert self.ledger.open is None
            assert not self.ledger.prepared
            assert not self.ledger.held


class AnyCallWithLevels(AnyCall):
    """The same where levels are known, and agree with the VAD or not."""

    levels = True

    @rule(ms=st.sampled_from([40, 60, 100, 200, 400, 1500]))
    def speak_softly(self, ms: int) -> None:
        """Or the VAD does not believe in silence yet."""
        self.floor.hear(ms, 0.95, loud=False)

    @rule(ms=st.sampled_from([20, 60, 120, 300, 1000]))
    def make_noise(self, ms: int) -> None:
        self.floor.hear(ms, 0.05, loud=True)

    @rule(words=WORDS, soft_ms=st.sampled_from([40, 120, 400, 1500]))
    def trail_off(self, words: str, soft_ms: int) -> None:
        """Early words, and soft speech after them."""
        self.floor.hear(120, 0.95, loud=True)
        self.floor.hear(64, 0.95, loud=False)
        self.answer_the_newest(words)
        self.floor.hear(soft_ms, 0.95, loud=False)

    @rule(words=WORDS, ms=st.sampled_from([60, 300, 1500]))
    def fall_silent(self, words: str, ms: int) -> None:
        """The words come while it is silent, or after the endpoint."""
        self.floor.hear(ms, 0.05, loud=False)
        self.answer_the_newest(words)

    def answer_the_newest(self, words: str) -> None:
        self.every_decision_made_sense()  # what was given up by now has no words
        for ask in self.floor.all(AskFinal)[-1:]:
            self.promises.final(ask, words)
            self.floor.final(words, ask)

    @rule(ms=st.sampled_from([120, 400]))
    def speak_up(self, ms: int) -> None:
        """Whatever was asked before is taken back, and nothing is left of it."""
        self.floor.hear(ms, 0.95, loud=True)
        self.every_decision_made_sense()
        forced = self.ledger.open is not None and self.promises.forced
        assert self.gone or forced or not self.ledger.prepared


for machine in (AnyCall, AnyCallWithLevels):
    machine.TestCase.settings = hypothesis_settings(
        max_examples=60, stateful_step_count=40, deadline=None
    )
TestAnyCall = AnyCall.TestCase
TestAnyCallWithLevels = AnyCallWithLevels.TestCase
