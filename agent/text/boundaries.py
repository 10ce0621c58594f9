"""Which marks end a clause: says of one mark in a text whether the clause ends there.

Nothing is remembered here. An answer is final: it never changes with more text. Where more text
is needed to tell, the answer is ``WAIT``, and at the end of the text everything can be told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from agent.text.signs import is_emoji, is_wide, listed

STRONG = frozenset("。！？；…｡!?.\n")
WEAK = frozenset("，、：,:;")
MARKS = STRONG | WEAK

_ENDERS = frozenset("。！？…｡!?.")
_CLOSERS = frozenset("\"'”’」』）)]】》〉*_~～`")
_QUOTES = frozenset("\"'”’」』")

_NEVER = listed(
    "dr mr mrs ms mx prof st mt rev hon gen col sgt capt lt cmdr gov sen rep vs cf e.g i.e viz"
    " fig figs eq ch sec vol pp ed eds approx dept univ est min max tel ext al incl"
)
"""What these have behind them is no end, whatever follows."""

_BEFORE_NUMBER = listed("no nos p art jan feb mar apr jun jul aug sep sept oct nov dec")
"""No end before a number."""

_BEFORE_SMALL = listed("a.m p.m am pm etc inc ltd co corp jr sr ph.d b.c a.d bros ave blvd rd")
"""No end before a small letter."""

_LOOK = 16  # characters that are looked at behind a mark; a longer row of signs means nothing
_LAST_WORD = re.compile(r"(?<![A-Za-z0-9°])[A-Za-z]+(?:\.[A-Za-z]+)*$")
_LIST_NUMBER = re.compile(r"[ \t>#*-]*\d{1,3}$")
_INITIAL = re.compile(r"(?:[A-HJ-Za-z]|[A-Za-z](?:\.[A-Za-z])+)$")


class Verdict(Enum):
    """What is known of a mark."""

    NONE = 0  # no end
    WAIT = 1  # cannot tell without more text
    WEAK = 2  # a place to breathe
    STRONG = 3  # the end of a sentence


@dataclass(frozen=True, slots=True)
class Boundary:
    """What a mark is; the clause would end before ``end``."""

    verdict: Verdict
    end: int = 0


_NONE, _WAIT = Boundary(Verdict.NONE), Boundary(Verdict.WAIT)


def judge(text: str, at: int, quoted: bool, last: bool, line: int) -> Boundary:
    """Say what the mark ``text[at]`` is.

    Args:
        text: the clause from its beginning, and what is known of what follows.
        at: the place of a sign of ``MARKS``.
        quoted: a quotation or an emphasis is open there, so a closing sign may follow.
        last: nothing follows ``text``.
        line: where the line of ``at`` begins in ``text``; -1: before it.
    """
    mark = text[at]
    if mark == "\n":
        return Boundary(Verdict.STRONG, at + 1)
    if mark in WEAK:
        return _weak(text, at, quoted, last)
    if mark in "。；｡" and not quoted:
        return Boundary(Verdict.STRONG, at + 1)
    end = _run(text, at + 1, _ENDERS | _CLOSERS)
    if end == len(text):
        return Boundary(Verdict.STRONG, end) if last else _WAIT
    space = text[end].isspace()
    if mark in "。；｡！？" or (mark == "…" and not space):
        return Boundary(Verdict.STRONG, end + space)
    if not space:
        return _glued(text, at, end, line)
    return _spaced(text, at, end, last, line)


def _run(text: str, at: int, signs: frozenset[str]) -> int:
    stop = min(len(text), at + _LOOK)
    while at < stop and (text[at] in signs or is_emoji(text[at])):
        at += 1
    return at


def _weak(text: str, at: int, quoted: bool, last: bool) -> Boundary:
    """Judge a comma or colon: not within numbers, times and addresses."""
    digit = at > 0 and text[at - 1].isdigit()
    if text[at] in "，、：" and not quoted and not digit:
        return Boundary(Verdict.WEAK, at + 1)
    end = _run(text, at + 1, _CLOSERS)
    if end == len(text):
        return Boundary(Verdict.WEAK, end) if last else _WAIT
    if text[at] in "，、：":
        glued = end == at + 1 and digit and text[end].isdigit()
        return _NONE if glued else Boundary(Verdict.WEAK, end)
    if not text[end].isspace():
        return Boundary(Verdict.WEAK, end) if is_wide(text[end]) else _NONE
    if digit:  # "May 5, 2024" is one date
        return _if_next(text, end, last, str.isdigit, (Verdict.NONE, Verdict.WEAK))
    return Boundary(Verdict.WEAK, end + 1)


def _glued(text: str, at: int, end: int, line: int) -> Boundary:
    """Judge ``.``, ``!``, ``?`` with no space behind: an end only where none is written."""
    if not is_wide(text[end]) or _is_list_number(text, at, line):
        return _NONE
    if text[at] == "." and _word_before(text, at).lower() in _BEFORE_SMALL:  # "3:30 p.m.见"
        return _NONE
    return Boundary(Verdict.STRONG, end)


def _spaced(text: str, at: int, end: int, last: bool, line: int) -> Boundary:
    """Judge ``.``, ``!``, ``?``, ``…`` before a space."""
    run = text[at:end]
    if run.startswith(("..", "…")) or text.endswith((".", "…"), 0, at):  # "Well... maybe"
        return _if_next(text, end, last, str.islower, (Verdict.WEAK, Verdict.STRONG))
    if run == ".":
        return _period(text, at, last, line)
    if len(run) > 1 and run[-1] in _QUOTES | {")", "]"}:  # "Stop!" he said; (approx.) five
        return _if_next(text, end, last, str.islower, (Verdict.NONE, Verdict.STRONG))
    return Boundary(Verdict.STRONG, end + 1)


def _period(text: str, at: int, last: bool, line: int) -> Boundary:
    if _is_list_number(text, at, line):
        return _NONE
    word = _word_before(text, at)
    small = word.lower()
    if small in _BEFORE_NUMBER:
        return _if_next(text, at + 1, last, str.isdigit, (Verdict.NONE, Verdict.STRONG))
    if small in _BEFORE_SMALL:
        return _if_next(text, at + 1, last, str.islower, (Verdict.NONE, Verdict.STRONG))
    if not last and (small in _NEVER or _INITIAL.match(word)):
        return _NONE
    return Boundary(Verdict.STRONG, min(at + 2, len(text)))


def _word_before(text: str, at: int) -> str:
    found = _LAST_WORD.search(text, max(0, at - 24), at)
    return found.group() if found else ""


def _is_list_number(text: str, at: int, line: int) -> bool:
    return line >= 0 and text[at] == "." and _LIST_NUMBER.match(text[line:at]) is not None


def _if_next(
    text: str,
    space: int,
    last: bool,
    goes_on: Callable[[str], bool],
    verdicts: tuple[Verdict, Verdict],
) -> Boundary:
    """Judge by the first sign behind the spaces: it goes on there, or it does not."""
    after = space
    while after < min(len(text), space + _LOOK) and text[after] in " \t":
        after += 1
    if after == len(text):
        return Boundary(verdicts[1], len(text)) if last else _WAIT
    verdict = verdicts[0] if goes_on(text[after]) else verdicts[1]
    return _NONE if verdict is Verdict.NONE else Boundary(verdict, space + 1)
