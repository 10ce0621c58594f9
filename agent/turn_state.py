"""What turn-taking knows at a moment. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.decisions import Action, AskFinal, Drop
from agent.endpoint import Evidence, same_words
from agent.habits import Habits
from agent.interrupt import ORDER_MS, is_backchannel, is_hum, is_order
from stages.audio import milliseconds_in, samples_in
from stages.events import Transcript

BURST = samples_in(200)
"""Samples of sound that may be a click, a breath or a chair; a word is mostly longer."""

LATEST_VAD = samples_in(128)
"""Samples by which a VAD may be late to believe in silence; what is softer is speech then."""

DIP_MS = 96
"""Quiet inside a word is mostly shorter, as before the sound of a "t"."""

HUSH = samples_in(32)
"""Samples after which what is quiet may be the end of what is said."""

RISING = 0.15
"""Probability from which a loud frame may be the beginning of speech that a VAD has yet to
believe in: no turn ends in it; the next frame tells."""


@dataclass(frozen=True, slots=True)
class Before:
    """A pause that seemed to be over."""

    text: str
    last_speech: int


@dataclass(slots=True)
class Levels:
    """Where the caller was last loud, if anybody listens for that."""

    position: int = 0  # up to which was listened
    loud: int | None = None  # position after the last loud sample; none: nobody listens for it

    def hear(self, end: int, loud: int | None) -> None:
        """Take in a frame."""
        self.position = end
        if loud is not None:
            self.loud = loud

    @property
    def quiet(self) -> int:
        """Samples since; none where nobody listens for it."""
        return 0 if self.loud is None else self.position - self.loud

    def end_is_after(self, upto: int) -> bool:
        """Tell whether it is getting quiet, and words up to there lack what was said last."""
        return self.loud is not None and self.quiet >= HUSH and self.loud - upto > HUSH

    @property
    def speech_upto(self) -> int:
        """Position up to which speech, in a frame of it, was loud; soft speech counts late."""
        return self.position if self.loud is None else self.position - min(self.quiet, LATEST_VAD)


@dataclass(slots=True)
class Utterance:
    """What the caller is saying."""

    number: int
    start: int  # of speech, without pre-roll
    last_speech: int  # position after the last speech
    silent: bool = False  # a pause is on
    asked_at: int | None = None  # the pause's AskFinal
    text: str | None = None  # the final for it
    stale: bool = False  # … are those of an earlier pause: how they end says nothing of this one
    guessed: bool = False  # … were enough to prepare a reply, or too much
    goes_on: float | None = None  # how sure the recogniser is of the comma at their end
    complete: float | None = None
    endpoint: bool = False  # by the recogniser's own rules it is over
    ended_at: int | None = None  # the endpoint was decided, words are awaited
    resumed_at: int = 0  # where the newest run of speech after a pause began
    paused: int = 0  # samples of the pause before that run
    before: Before | None = None  # that pause, if it had its words
    burst: bool = False  # that run was none of the speech
    noise_upto: int = 0  # position after the newest sound in it that was none of its speech
    risen: bool = False  # the last frame may have been the beginning of speech
    forced: bool = False  # it was too long: it ends, whatever is still said
    known: bool | None = None  # whether the voice may have the word; none: not told yet

    def evidence(self, habits: Habits, turn: int) -> Evidence:
        """Return what is known at its pause in that turn, and of the caller."""
        text, goes_on = (None, None) if self.stale else (self.text, self.goes_on)
        pauses = (*habits.pauses_ms, *self.pause_ms)
        return Evidence(
            self.complete, text, pauses, self.endpoint, goes_on, habits.cuts(turn)
        )

    @property
    def pause_ms(self) -> tuple[float, ...]:
        """The pause before the newest run of speech, unless that is none of the speech."""
        return (milliseconds_in(self.paused),) if self.paused and not self.burst else ()

    def calm(self, rising: bool) -> bool:
        """Tell whether the turn may end in this frame, one that may begin speech or not.

        The next one tells, so it has to be believed: in noise every frame may begin speech.
        """
        before, self.risen = self.risen, rising
        return before or not rising

    @property
    def soft_since_asked(self) -> bool:
        """Whether speech went on, too soft to be loud, after words were asked for."""
        return self.asked_at is not None and self.last_speech > self.asked_at

    @property
    def spent(self) -> int:
        """Position up to which no later utterance shall have the audio."""
        return max(self.last_speech, self.noise_upto)

    def resume(self, start: int) -> None:
        """Take the pause back: there is sound again."""
        self.before = None if self.text is None else Before(self.text, self.last_speech)
        self.paused, self.resumed_at, self.burst = start - self.last_speech, start, False
        self.silent, self.ended_at, self.endpoint = False, None, False
        self.take_back()

    def go_on(self, levels: Levels, pause: int) -> bool:
        """Take in a frame of speech; tell whether it is loud again after an early question."""
        loud_again = self.asked_at is not None and levels.quiet < pause
        if loud_again:
            self.take_back()
        if self.asked_at is None or levels.quiet > LATEST_VAD:
            self.last_speech, self.burst = levels.speech_upto, False
        return loud_again

    def ask(self, at: int, silence: int) -> AskFinal:
        """Ask for words and an opinion; those of an earlier question count no more."""
        self.take_back()
        self.asked_at = at
        return AskFinal(self.number, at, silence)

    def take_back(self) -> None:
        """Take back that words and an opinion were asked for."""
        self.asked_at, self.text, self.goes_on, self.complete = None, None, None, None
        self.stale = self.guessed = False

    def hear(self, words: Transcript, over_reply: bool) -> str:
        """Take the words up to this pause, a final, and return their text.

        A recogniser that hears none in the longer piece has lost those it had, and they stand;
        over a reply they do not, as it invents some in noise there and takes them back. If the
        sound before the pause was short and brought no word, the silence goes on from where it
        began: a breath or a click is nothing to wait for, unless it turns out to go on. What a
        cut ends goes on.
        """
        before, text, self.goes_on = self.before, words.text.strip(), words.goes_on
        if before is None:
            self.text = text
            return text
        self.stale = not text and not over_reply
        self.text = text = before.text if self.stale else text
        short = self.last_speech - self.resumed_at <= BURST and not self.forced
        if not text or not short or not same_words(before.text, text):
            return text
        self.burst = True
        self.noise_upto, self.last_speech = self.last_speech, before.last_speech
        return text


@dataclass(slots=True)
class Replying:
    """A reply that is prepared, made or played."""

    reply: int
    turn: int
    text: str
    speech_end: int | None = None  # position after the last speech it answers, if any was spoken
    audible_at: int | None = None  # position at which its first sample went out
    held: bool = False

    @property
    def audible(self) -> bool:
        """Whether a sample of it has gone out."""
        return self.audible_at is not None

    def gives_way(self, text: str, start: int, sure: int, words_ms: int) -> bool:
        """Tell whether words, or what a recogniser takes for words, end it.

        A recogniser hears words in coughs, too. The reply is silent meanwhile, so it costs the
        caller nothing to wait until there was enough speech for a word. What was said before it
        sounded was no nod at it: only a hum leaves it then.

        Args:
            text: the words.
            start: position at which they began.
            sure: samples of sure speech in them.
            words_ms: of sure speech that words take.
        """
        nod = is_backchannel(text)
        if nod and (is_hum(text) or (self.audible_at is not None and self.audible_at <= start)):
            return False
        if not (nod or self.audible):
            return True
        enough = min(ORDER_MS, words_ms) if nod or is_order(text) else words_ms
        return sure >= samples_in(enough)


@dataclass(slots=True)
class Tries:
    """How often a reply was prepared for a turn, however many pieces it has."""

    turn: int = 0
    count: int = 0

    def one_more(self, turn: int, most: int) -> bool:
        """Tell whether this turn may have another, and count it."""
        if turn != self.turn:
            self.turn, self.count = turn, 0
        self.count += 1
        return self.count <= most

    def forget(self) -> None:
        """Let what is said next have all of them: what was said was no turn."""
        self.turn = 0


@dataclass(slots=True)
class Prepared:
    """The reply that is prepared for a turn, if there is one."""

    now: Replying | None = None
    tries: Tries = field(default_factory=Tries)

    def answers(self, text: str) -> bool:
        """Tell whether it is the reply to these words."""
        return self.now is not None and self.now.text == text

    def take(self) -> Replying | None:
        """Give it away."""
        now, self.now = self.now, None
        return now

    def drop(self) -> list[Action]:
        """Throw it away."""
        dropped = self.take()
        return [] if dropped is None else [Drop(dropped.reply)]
