"""Where push meets pull: replies push audio when it is made, the line pulls a frame every 20 ms.

A frame is always given, silence included. Every sample given is counted, so what was heard of a
reply is known to the sample.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import anyio
import numpy as np

from agent.history import Span, heard, said_of
from agent.line import FRAME, PLAYOUT_RATE
from stages.audio import silence
from stages.events import Samples, Word

LONGEST_AHEAD = 30 * PLAYOUT_RATE
"""Samples that a reply may be ahead of its playing; then whoever pushes waits."""

FADE = PLAYOUT_RATE // 200
"""Samples (5 ms) over which sound is faded when it stops or starts in the middle: no clicks."""

ON_ITS_WAY = 60 * PLAYOUT_RATE // 1000
"""Samples given to the line and not heard yet: wire, jitter buffer and output of a browser.

A page that is told to be silent plays none of them, so they count as played no longer.
"""


@dataclass(eq=False)
class ReplyAudio:
    """The audio of one reply: pushed by its voice, played once it is its turn.

    Attributes:
        number: the reply's.
        played: samples given to the line so far, less those that were taken back.
        begun: the first sample was given.
        spans: where each clause lies in it, for the history.
    """

    number: int
    played: int = 0
    spans: list[Span] = field(default_factory=list)
    finished: bool = False
    begun: bool = False
    pushed: int = 0
    _last: Samples = field(default_factory=lambda: silence(0))  # those that were given last
    _dry: bool = False  # there was a gap after them: they are long heard
    _pieces: deque[Samples] = field(default_factory=deque)
    _room: anyio.Event = field(default_factory=anyio.Event)

    def clause(self, text: str) -> None:
        """Say that the audio pushed from now on is of this clause."""
        self.spans.append(Span(text, self.pushed))

    def say_again(self) -> int:
        """Give up the present clause's word stamps: another voice says it again.

        Returns how many samples of the clause there are already; the other's begin after them.
        """
        span = self.spans[-1]
        self.spans[-1] = replace(span, words=())
        return self.pushed - span.start

    def keep_sounding(self) -> int:
        """Drop the audio after the clause that is sounding; return how many clauses are left.

        Nothing is left of a reply that has not begun to sound.
        """
        self.spans = [span for span in self.spans if span.start < self.played]
        self.pushed = (self.spans[-1].end or 0) if self.spans else 0
        ahead = np.concatenate([*self._pieces, silence(0)])[: max(0, self.pushed - self.played)]
        self._pieces = deque([ahead] if len(ahead) else [])
        self._room.set()
        return len(self.spans)

    def break_off(self) -> None:
        """Say that the present clause stays unfinished: only its stamped words were said."""
        if self.spans:
            span = self.spans[-1]
            self.spans[-1] = replace(span, text=said_of(span, self.pushed))

    async def push(self, samples: Samples, words: tuple[Word, ...] = ()) -> None:
        """Add audio at ``PLAYOUT_RATE``; waits while the reply is too far ahead of its playing.

        Cancelled while it waits, nothing was added.
        """
        while self.pushed - self.played > LONGEST_AHEAD:
            self._room = anyio.Event()
            await self._room.wait()
        if self.spans:
            self.spans[-1] = self.spans[-1].grown(self.pushed + len(samples), words)
        if len(samples):
            self._pieces.append(samples)
        self.pushed += len(samples)

    def take(self, count: int) -> Samples:
        """Return up to that many samples; fewer when there are no more yet."""
        out: list[Samples] = []
        while count and self._pieces:
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
                piece = piece[:count]
            out.append(piece)
            count -= len(piece)
        taken = np.concatenate(out) if out else silence(0)
        self.played += len(taken)
        before = silence(0) if self._dry else self._last
        self._last = np.concatenate([before, taken])[-ON_ITS_WAY - FADE :]
        self._dry = count > 0
        self._room.set()
        return taken

    def take_back(self) -> None:
        """Put back what was given and not heard: the line was told to be silent."""
        if len(self._last):
            self._pieces.appendleft(self._last)
            self.played -= len(self._last)
            self._last = silence(0)

    @property
    def sounded(self) -> int:
        """Samples of it that a cut would leave played: it takes back what is on its way."""
        if self._dry:
            return self.played
        fading = min(FADE, self.pushed - self.played)
        return self.played + fading - min(len(self._last) + fading, ON_ITS_WAY + FADE)

    @property
    def drained(self) -> bool:
        """Whether everything has been played and nothing more will come."""
        return self.finished and not self._pieces


@dataclass(eq=False)
class Playout:
    """The one mouth of a call.

    Args:
        started: told the reply's number when its first sample is handed to the line.
        ended: told the reply's number when it has been played to its end.
    """

    started: Callable[[int], None]
    ended: Callable[[int], None]
    underruns: int = 0  # frames in which a reply had begun, and had nothing to give
    _current: ReplyAudio | None = None
    _held: bool = False
    _sounding: bool = False  # the frame before this one ended in the middle of the reply
    _tail: Samples = field(default_factory=lambda: silence(0))  # of a reply that was cut

    def play(self, audio: ReplyAudio) -> None:
        """Make this reply the one that sounds, from its beginning."""
        self._current, self._held, self._sounding = audio, False, False

    def hold(self) -> None:
        """Pause the reply; it goes on from where it was heard last."""
        self._held = self._current is not None

    def go_on(self) -> None:
        """Let a held reply go on."""
        self._held = False

    def cut(self, number: int) -> None:
        """End this reply now; what it had still to say is gone."""
        if self._current is not None and self._current.number == number:
            if self._sounding:
                self._tail = _broken_off(self._current)
            self._current, self._held, self._sounding = None, False, False

    def unheard(self, number: int) -> bool:
        """Tell whether a reply that is to sound has not sounded as far as its first word."""
        audio = self._current
        if audio is None or audio.number != number:
            return False
        return not heard(audio.spans, audio.sounded, complete=False)

    def pull(self) -> Samples:
        """Return the next ``FRAME`` samples for the line."""
        tail, self._tail = self._tail, silence(0)
        current = self._current
        if current is None:
            return _padded(tail)
        if self._held:
            moment = _broken_off(current) if self._sounding else tail
            self._sounding = False
            return _padded(moment)
        return _padded(np.concatenate([tail, self._next(current, FRAME - len(tail))]))

    def _next(self, current: ReplyAudio, count: int) -> Samples:
        """Return up to ``count`` samples of the reply, and say so where it begins or ends."""
        fresh = not current.begun
        samples = current.take(count)
        if not (fresh or self._sounding):
            samples = _faded_in(samples)
        self._sounding = len(samples) == count
        if fresh and len(samples):
            current.begun = True
            self.started(current.number)
        if current.drained:
            self._current, self._sounding = None, False
            self.ended(current.number)
        elif not (fresh or self._sounding):
            self.underruns += 1
        return samples


def _broken_off(audio: ReplyAudio) -> Samples:
    """Return the next moment of a reply, fading, and take back what is on its way."""
    moment = audio.take(FADE)
    audio.take_back()
    return moment * np.linspace(1, 0, len(moment), dtype=np.float32)


def _faded_in(samples: Samples) -> Samples:
    ramp = np.ones(len(samples), dtype=np.float32)
    length = min(FADE, len(samples))
    ramp[:length] = np.linspace(0, 1, FADE, dtype=np.float32)[:length]
    return samples * ramp


def _padded(samples: Samples) -> Samples:
    if len(samples) == FRAME:
        return samples
    return np.concatenate([samples, silence(FRAME - len(samples))])
