"""Who has the word: the state machine of turn-taking. Pure: no clock, no I/O, no tasks.

Everything that happens in a call is told to ``Turns`` as an event, and it answers with what is
to be done. Time is the position in the caller's audio, which never stops while the call lasts.

An utterance opens when speech begins, and closes at its endpoint (or when it was only noise).
As soon as it is quiet the machine asks for the final transcript and the turn detector's opinion;
the reply may be prepared on that guess. The endpoint releases it; speech drops it.
While a reply plays, sound holds it and confirmed speech interrupts it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from agent.decisions import Action, Close, GoOn, Hold, Interrupt, Open, Prepare, Release
from agent.endpoint import Evidence, patience_ms
from agent.habits import Habits
from agent.interrupt import KNOCK_MS, SURE
from agent.turn_settings import TurnSettings
from agent.turn_state import DIP_MS, LATEST_VAD, RISING, Levels, Prepared, Replying, Utterance
from stages.audio import milliseconds_in, samples_in
from stages.events import Transcript

FINAL_DEADLINE_MS = 4_000
"""After an endpoint, how long words are waited for; then the turn is given up."""
NOISE_MS = 250
"""Silence after which sound that held a reply, and brought no words, was noise."""


@dataclass(slots=True)
class Turns:
    """The state of turn-taking in one connection.

    Args:
        settings: the profile's knobs.
        turn: number of the first turn to come.
        reply: number of the first reply to come.
        patience: the silence, in milliseconds, that the evidence at a pause asks for.
        answers_known: whether only voices that are known are answered.
        yields_to_known: whether only they may talk over a reply.
        unheard: whether no word of a reply that sounds has been heard yet.
        levels: how loud the caller was, as far as anybody listens for it.
        habits: what the call has taught about the caller.
    """

    settings: TurnSettings
    turn: int = 1
    reply: int = 1
    patience: Callable[[TurnSettings, Evidence], float] = patience_ms
    answers_known: bool = False
    yields_to_known: bool = False
    unheard: Callable[[int], bool] = lambda reply: False
    levels: Levels = field(default_factory=Levels)
    habits: Habits = field(default_factory=Habits)
    _run_start: int | None = None  # where the present run of speech frames began
    _held_at: int = 0  # position of the last hold
    _sure: int = 0  # samples of sure speech since the utterance (or the run before it) began
    _utterance: Utterance | None = None
    _utterances: int = 0
    _prepared: Prepared = field(default_factory=Prepared)
    _speaking: Replying | None = None
    _carried: str = ""  # words of a turn whose reply was never heard
    _spent: int = 0  # position up to which the audio belongs to utterances that are over
    _gone: bool = False

    # --- events -----------------------------------------------------------------------------

    def greet(self) -> list[Action]:
        """Begin with a greeting, as the reply to nothing."""
        return [] if self._gone else [self._release("", None, None)]

    def frame(self, end: int, samples: int, speech: float, loud: int | None = None) -> list[Action]:
        """Hear a frame.

        Args:
            end: its end position.
            samples: its length.
            speech: its speech probability.
            loud: the position after its last loud sample, where one knows; a VAD takes a while
                to believe in silence, and the silence counts from there.
        """
        self.levels.hear(end, loud)
        if self._gone:
            return []
        floor = self.settings.threshold if self._run_start is None else self.settings.release
        if self._run_start is None and self._utterance is None:
            self._sure = 0
        self._sure += samples if speech >= SURE else 0
        if speech >= floor:
            return self._sound(end - samples, end)
        self._run_start = None
        return self._quiet(end, speech >= RISING and (loud or 0) > end - samples)

    def transcript(self, words: Transcript) -> list[Action]:
        """Hear what ASR makes of the utterance."""
        utterance = self._utterance
        if utterance is None or words.utterance != utterance.number:
            return []  # news of an utterance that is over
        if not words.final:
            utterance.endpoint = utterance.endpoint or words.endpoint
            return self._maybe_interrupt(words.text)
        if words.upto != utterance.asked_at or utterance.text is not None:
            return []  # the caller has gone on since, or it was said before
        text = utterance.hear(words, self._speaking is not None)
        actions = self._maybe_interrupt(text)
        if utterance.ended_at is not None:
            return actions + self._finish(utterance, utterance.ended_at)
        return actions + self._guess(utterance)

    def judged(self, utterance: int, at: int, complete: float) -> None:
        """Hear the turn detector's opinion of the pause that was asked about at ``at``."""
        now = self._utterance
        if now is not None and now.number == utterance and now.asked_at == at:
            now.complete = complete

    def identified(self, utterance: int, known: bool) -> list[Action]:
        """Hear whether the voice of an utterance may have the word."""
        now = self._utterance
        if now is None or now.number != utterance:
            return []
        now.known = now.known or known
        actions = self._maybe_interrupt(now.text or "")
        if now.ended_at is not None and now.text is not None:
            return actions + self._finish(now, now.ended_at)
        return actions

    @property
    def wants_to_know(self) -> bool:
        """Whether somebody talks over a reply, and who it is decides whether they may."""
        now = self._utterance
        wary = self.yields_to_known and self._speaking is not None
        return wary and (now is None or not now.known)

    def audible(self, reply: int) -> None:
        """Hear that a reply's first sample went out."""
        if self._speaking is not None and self._speaking.reply == reply:
            self._speaking.audible_at = self.levels.position

    def over(self, reply: int) -> None:
        """Hear that a released reply has ended by itself."""
        if self._speaking is not None and self._speaking.reply == reply:
            self._speaking = None

    def typed(self, text: str) -> list[Action]:
        """Hear a typed message: it ends whatever is going on and is answered at once."""
        text = text.strip()
        if not text or self._gone:
            return []
        actions = self._prepared.drop() + self._interrupt(None)
        if self._utterance is not None:
            actions.append(self._close(self._utterance, self.levels.position))
        if self._carried:  # it stays a turn of its own, without an answer
            self.turn += 1
        return [*actions, self._release(text, None, None)]

    def hang_up(self) -> None:
        """Hear that the caller is gone: from now on nothing is decided."""
        self._gone, self._utterance, self._speaking = True, None, None
        self._prepared.take()

    @property
    def busy(self) -> bool:
        """Whether a turn is under way: somebody speaks, or a reply is being made or played."""
        return self._utterance is not None or self._speaking is not None

    # --- speech -----------------------------------------------------------------------------

    def _sound(self, start: int, end: int) -> list[Action]:
        if self._run_start is None:
            self._run_start = start
        utterance = self._utterance
        if utterance is not None and utterance.forced:
            return self._await_words(utterance, end)
        actions: list[Action] = []
        if utterance is not None and not utterance.silent:
            # A dip inside a word: no need to be sure again.
            actions = self._goes_on(utterance, end)
        if end - self._run_start < samples_in(self.settings.start_ms):
            return actions + (self._too_long(utterance, end) if utterance else self._hold(end))
        if utterance is None:
            return self._open(self._run_start, end)
        if utterance.silent:
            actions = self._resume(utterance)
            utterance.last_speech = self.levels.speech_upto
        return actions + self._over_reply(utterance, end) + self._too_long(utterance, end)

    def _goes_on(self, utterance: Utterance, end: int) -> list[Action]:
        """Take in a frame of speech; if nothing was loud for a moment, ask for words already.

        A VAD takes up to ``LATEST_VAD`` to believe in silence, and most of that goes by before
        there are words. What is loud again was a dip inside a word: they are asked for anew.
        """
        pause = samples_in(self.settings.pause_ms)
        actions = self._prepared.drop() if utterance.go_on(self.levels, pause) else []
        if utterance.asked_at is None and pause <= self.levels.quiet <= LATEST_VAD:
            actions.append(utterance.ask(end, self.levels.quiet))
        return actions + self._guess(utterance)

    def _open(self, start: int, end: int) -> list[Action]:
        self._utterances += 1
        self._utterance = Utterance(self._utterances, start, self.levels.speech_upto)
        begin = max(self._spent, start - samples_in(self.settings.pre_roll_ms))
        return [Open(self._utterances, begin), *self._over_reply(self._utterance, end)]

    def _resume(self, utterance: Utterance) -> list[Action]:
        """Take the pause back: the caller goes on."""
        assert self._run_start is not None
        self.habits.paused(utterance.pause_ms)
        utterance.resume(self._run_start)
        return self._prepared.drop()

    def _too_long(self, utterance: Utterance, end: int) -> list[Action]:
        if utterance.silent or end - utterance.start < samples_in(self.settings.longest_ms):
            return []
        utterance.silent, utterance.ended_at, utterance.forced = True, end, True
        utterance.last_speech = end  # however soft: the next one goes on from there
        return [] if utterance.asked_at == end else [utterance.ask(end, 0)]

    # --- silence ----------------------------------------------------------------------------

    def _quiet(self, end: int, rising: bool) -> list[Action]:
        utterance = self._utterance
        if utterance is None:
            knock = end - self._held_at >= samples_in(KNOCK_MS)
            return self._go_on() if knock else []
        silence = end - utterance.last_speech
        if utterance.ended_at is not None:
            return self._await_words(utterance, end)
        if utterance.asked_at is None and silence < samples_in(self.settings.pause_ms):
            return []
        actions = self._pause(utterance, end, silence)
        if self._was_noise(utterance, silence):
            return self._dismiss(utterance)
        if not utterance.calm(rising):
            return actions
        wait = self.patience(self.settings, utterance.evidence(self.habits, self.turn))
        return actions + self._end(utterance, end) if milliseconds_in(silence) >= wait else actions

    def _pause(self, utterance: Utterance, end: int, silence: int) -> list[Action]:
        """Ask for words and an opinion, once a pause."""
        lacking = not utterance.silent and utterance.soft_since_asked
        utterance.silent = True
        if utterance.asked_at is None or lacking:
            return [utterance.ask(end, silence)]
        return self._guess(utterance)

    def _was_noise(self, utterance: Utterance, silence: int) -> bool:
        """Tell whether what held the reply is over and brought nothing to answer."""
        if self._speaking is None or utterance.text is None:
            return False
        return silence >= samples_in(NOISE_MS) and not self._takes_the_word(utterance.text)

    def _dismiss(self, utterance: Utterance) -> list[Action]:
        if not self._carried and self._speaking is None:
            self._prepared.tries.forget()
        dropped = self._prepared.drop()
        return [*dropped, *self._go_on(), self._close(utterance, utterance.last_speech)]

    def _close(self, utterance: Utterance, upto: int) -> Close:
        """End the utterance; no other one shall have its audio up to there."""
        self.habits.paused(utterance.pause_ms)
        self._utterance, self._spent = None, upto
        if self._run_start is not None:
            self._run_start = max(self._run_start, upto)
        return Close(utterance.number)

    def _end(self, utterance: Utterance, end: int) -> list[Action]:
        utterance.ended_at = end
        return self._finish(utterance, end) if utterance.text is not None else []

    def _await_words(self, utterance: Utterance, end: int) -> list[Action]:
        assert utterance.ended_at is not None
        if milliseconds_in(end - utterance.ended_at) < FINAL_DEADLINE_MS:
            return []
        utterance.text = ""
        return self._finish(utterance, end)

    def _finish(self, utterance: Utterance, endpoint: int) -> list[Action]:
        """Close the utterance at its endpoint and answer the turn, if it has words.

        They may be those of a reply that sound alone cut off before it was heard.
        """
        text = utterance.text or ""
        if text and utterance.known is None and (self.answers_known or self.wants_to_know):
            return []  # who it is will be told in a moment, or the words are given up
        if self.answers_known and not utterance.known:
            return self._dismiss(utterance)
        actions = self._maybe_interrupt(text)
        said = self.said_with(text)
        if self._speaking is not None or not said:
            return self._dismiss(utterance)
        if not self._prepared.answers(said):
            actions += self._prepared.drop()
        actions.append(self._close(utterance, utterance.spent))
        return [*actions, self._release(said, utterance.last_speech, endpoint)]

    # --- replies ----------------------------------------------------------------------------

    def said_with(self, text: str) -> str:
        """Return the whole of the turn with these words as its newest piece."""
        return f"{self._carried} {text}".strip()

    def _guess(self, utterance: Utterance) -> list[Action]:
        """Prepare the reply to the words of a pause, once it is longer than dips are."""
        stranger = self.answers_known and utterance.known is False
        if self._speaking is not None or stranger or not self.settings.speculate:
            return []  # asked again at the next frame: it may have ended by then
        quiet = self.levels.quiet
        if utterance.silent:  # where there is noise the level never falls
            quiet = max(quiet, self.levels.position - utterance.last_speech)
        if utterance.text is None or utterance.guessed or quiet < samples_in(DIP_MS):
            return []
        utterance.guessed = True
        said = self.said_with(utterance.text)
        return self._prepare(said) if said and not self._prepared.answers(said) else []

    def _prepare(self, said: str) -> list[Action]:
        actions = self._prepared.drop()
        if not self._prepared.tries.one_more(self.turn, self.settings.tries):
            return actions
        self._prepared.now = Replying(self._next_reply(), self.turn, said)
        return [*actions, Prepare(self._prepared.now.reply, self.turn, said)]

    def _release(self, text: str, speech_end: int | None, endpoint: int | None) -> Release:
        prepared = self._prepared.take()  # the reply to this; others were dropped
        reply = self._next_reply() if prepared is None else prepared.reply
        action = Release(reply, self.turn, text, prepared is not None, speech_end, endpoint)
        self._carried = ""
        self._speaking = Replying(action.reply, action.turn, text, speech_end)
        if text:
            self.turn += 1
            return action
        return replace(action, turn=0)  # the greeting belongs to no turn

    def _next_reply(self) -> int:
        self.reply += 1
        return self.reply - 1

    # --- barge-in ---------------------------------------------------------------------------

    def _over_reply(self, utterance: Utterance, end: int) -> list[Action]:
        """Speech goes on while a reply plays: hold it first, then end it."""
        speaking = self._speaking
        if speaking is None or self._protected or self._run_start is None:
            return []
        run = end - self._run_start
        enough = samples_in(self.settings.interrupt_ms)
        long = run >= enough and 2 * self._sure >= enough
        if long or self._takes_the_word(utterance.text or ""):  # early words grew credible
            return self._interrupt(utterance.start)
        return self._hold(end)

    def _hold(self, end: int) -> list[Action]:
        """Be silent for the sound there is: at its first frame, if nothing else is set."""
        speaking = self._speaking
        if speaking is None or speaking.held or self._protected or self._run_start is None:
            return []
        enough = samples_in(self.settings.hold_after(heard=speaking.audible))
        if end - self._run_start < enough and not (self._sure and speaking.audible):
            return []
        speaking.held, self._held_at = True, end
        return [Hold(speaking.reply)]

    def _maybe_interrupt(self, text: str) -> list[Action]:
        """Words came: they end the reply, unless they only say "I am listening"."""
        if self._speaking is None or self._utterance is None or self._protected:
            return []
        return self._interrupt(self._utterance.start) if self._takes_the_word(text) else []

    def _takes_the_word(self, text: str) -> bool:
        """Tell whether words, or what a recogniser takes for words, end the reply."""
        speaking, now, enough = self._speaking, self._utterance, self.settings.words_ms
        assert speaking is not None
        assert now is not None
        return speaking.gives_way(text, now.start, self._sure, enough)

    @property
    def _protected(self) -> bool:
        """Whether a reply plays that may not be talked over."""
        speaking, fixed = self._speaking, not self.settings.interruptible
        return speaking is not None and (self.wants_to_know or (speaking.audible and fixed))

    def _interrupt(self, speech_start: int | None) -> list[Action]:
        speaking, self._speaking = self._speaking, None
        if speaking is None:
            return []
        self.habits.went_on(speaking.turn, speaking.speech_end, speech_start)
        if speaking.text and (not speaking.audible or self.unheard(speaking.reply)):
            # The caller was cut off, or went on: both pieces are one turn, answered anew.
            self._carried, self.turn = speaking.text, speaking.turn
        return [Interrupt(speaking.reply, speech_start)]

    def _go_on(self) -> list[Action]:
        if self._speaking is None or not self._speaking.held:
            return []
        self._speaking.held = False
        return [GoOn(self._speaking.reply)]
