"""The conversation as it was heard. Pure: no clock, no I/O.

The history never says what the caller did not hear: a reply that was cut off is cut in it at
the word that was sounding, known where the voice stamps its words, else reckoned by even speed
within the clause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from stages.events import Message, Word

LONGEST = 6_000
"""Characters of turns that a request carries, at most; the oldest turns are left out first."""

SPOKEN = 600
"""Characters of them that are kept free for what the caller says next: a minute of speech."""

RESPELLED = 24
"""Characters between two words of a voice that may be spelled otherwise in the text ("20%")."""

_WORD_END = re.compile(r"[\s　]|(?<=[一-鿿。，、；：？！])")


@dataclass(frozen=True, slots=True)
class Span:
    """A clause's place in the reply's audio, in samples at the playout rate."""

    text: str
    start: int
    end: int | None = None
    words: tuple[Word, ...] = ()

    def grown(self, end: int, words: tuple[Word, ...]) -> Span:
        """Return the span with more audio (and word stamps) in it."""
        return replace(self, end=end, words=self.words + words)


def heard(spans: Iterable[Span], played: int, complete: bool) -> str:
    """Return the text of what was played of a reply.

    Args:
        spans: its clauses, in order.
        played: samples of it that went out.
        complete: whether it came to its end; then all its text was heard.
    """
    if complete:
        return "".join(span.text for span in spans).strip()
    return "".join(_heard_of(span, played) for span in spans).strip()


def _heard_of(span: Span, played: int) -> str:
    if span.end is None or played <= span.start:
        return ""
    if played >= span.end:
        return span.text
    if span.words:
        return said_of(span, played)
    return _by_speed(span.text, (played - span.start) / (span.end - span.start))


def said_of(span: Span, played: int) -> str:
    """Return a clause up to the last word that had ended after so many samples of the reply.

    The words' stamps are exact; their text may be respelled, and is passed over then.
    """
    said = sum(word.end <= played - span.start for word in span.words)
    place = 0
    for word in span.words[:said]:
        found = span.text.find(word.text, place, place + len(word.text) + RESPELLED)
        place = found + len(word.text) if found >= 0 else place
    return span.text[:place]


def _by_speed(text: str, share: float) -> str:
    """Cut after the last whole word of that share of the text."""
    reached = int(len(text) * share)
    ends = [match.end() for match in _WORD_END.finditer(text) if match.end() <= reached]
    return text[: ends[-1]] if ends else ""


@dataclass(slots=True)
class _Exchange:
    turn: int
    user: str
    reply: str = ""


@dataclass(slots=True)
class History:
    """What both sides have said, for the next request.

    Args:
        opening: what every request begins with, so that a prefix cache can hold it.
    """

    opening: tuple[Message, ...]
    _exchanges: list[_Exchange] = field(default_factory=list)

    def request(self, turn: int, text: str) -> tuple[Message, ...]:
        """Return the messages of a request with these words as the caller's last."""
        past = [entry for entry in self._exchanges if entry.turn != turn]
        kept = _newest(past, LONGEST - len(text))
        return (*self.opening, *_messages([*kept, _Exchange(turn, as_sentence(text))]))

    def user(self, turn: int, text: str) -> None:
        """Remember the caller's words; words of the same turn replace the earlier ones."""
        self._exchanges = [entry for entry in self._exchanges if entry.turn != turn]
        self._exchanges.append(_Exchange(turn, as_sentence(text)))
        self._forget()

    def reply(self, turn: int, text: str) -> None:
        """Remember what was heard of the reply to a turn; turn 0 is the greeting."""
        mine = next((entry for entry in self._exchanges if entry.turn == turn), None)
        if mine is None:
            if any(entry.turn > turn > 0 for entry in self._exchanges):
                return  # its words were let go meanwhile
            mine = _Exchange(turn, "")
            self._exchanges.append(mine)
        mine.reply = text
        self._forget()

    def _forget(self) -> None:
        """Once requests would be too long, let half of it go, and not a little every turn.

        A prefix cache can then hold the rest for many turns. The newest entry stays: its reply
        is still to come.
        """
        if sum(_length(entry) for entry in self._exchanges) > LONGEST - SPOKEN:
            newest = _newest(self._exchanges, LONGEST // 2)
            self._exchanges = newest or self._exchanges[-1:]

    def __iter__(self) -> Iterator[Message]:
        return iter(_messages(self._exchanges))


def as_sentence(text: str) -> str:
    """Return words for an LLM: what it is to answer does not end in a comma.

    Recognisers end a transcript in one as they please, and a partial that differs from the final
    in nothing else has been read already.
    """
    said = text.rstrip(" ,，、;；")
    if said == text or not said:
        return text
    return said + ("。" if "\u3400" <= said[-1] <= "\u9fff" else ".")


def _newest(exchanges: Sequence[_Exchange], room: int) -> list[_Exchange]:
    kept: list[_Exchange] = []
    for entry in reversed(exchanges):
        room -= _length(entry)
        if room < 0:
            break
        kept.append(entry)
    return kept[::-1]


def _length(entry: _Exchange) -> int:
    return len(entry.user) + len(entry.reply)


def _messages(exchanges: Iterable[_Exchange]) -> list[Message]:
    """Return the exchanges as chat messages; words without an answer are joined to the next."""
    messages: list[Message] = []
    for entry in exchanges:
        if entry.user and messages and messages[-1].role == "user":
            messages[-1] = Message("user", f"{messages[-1].content} {entry.user}")
        elif entry.user:
            messages.append(Message("user", entry.user))
        if entry.reply:
            messages.append(Message("assistant", entry.reply))
    return messages
