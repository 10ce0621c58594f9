"""Cuts a reply into clauses while it is being written."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.text.boundaries import MARKS, Verdict, judge
from agent.text.signs import is_han, listed, weight, words
from agent.text.speech import spoken
from stages.events import Clause

ENOUGH = 1.0
"""Weight (``signs.weight``) at which the first clause may end at a comma."""

LONG = 10.0
"""Weight from which later clauses may end at a comma too: 40 Han characters or 30 words."""

LONGEST_FIRST, LONGEST = 7.5, 18.0
"""Weight at which a clause without any mark is cut between words."""

LONGEST_HELD = 600
"""Characters that are read again and again, at most: a flood of signs costs no more than words."""

BRACKET = 160
"""Characters after which an open bracket is taken for a slip of the pen."""

FILLERS = listed("嗯 呃 啊 哦 唔 额 噢 诶 哎 唉 哈 um uh hmm hm oh er ah mm well so eh")
"""Never said alone: they wait for what they introduce."""

_OPENERS, _CLOSERS = frozenset("(（["), frozenset(")）]")
_QUOTE_OPEN, _QUOTE_CLOSE = frozenset("“‘「『《【"), frozenset("”’」』》】")


@dataclass(slots=True)
class _Context:
    """What is open at a place in the text."""

    fenced: bool = False  # in a block of code
    ticks: int = 0  # backticks in a row
    code: bool = False  # in code within a line
    brackets: int = 0
    in_bracket: int = 0  # characters since it opened
    quotes: int = 0
    straight: bool = False  # within "…"
    stars: int = 0

    @property
    def closed(self) -> bool:
        """Whether a clause may end here."""
        return not (self.fenced or self.code or self.brackets)

    @property
    def quoted(self) -> bool:
        """Whether a closing sign may follow an end."""
        return self.quotes > 0 or self.straight or self.stars % 4 != 0

    def go_past(self, sign: str) -> None:
        """Take in one more character."""
        if sign == "`":
            self._tick()
            return
        self.ticks = 0
        if self.fenced:
            return
        if sign == "\n":
            self.code, self.brackets, self.straight, self.stars = False, 0, False, 0
        elif sign == "*":
            self.stars += 1
        elif sign == '"':
            self.straight = not self.straight
        elif sign in _QUOTE_OPEN or sign in _QUOTE_CLOSE:
            self.quotes = max(0, self.quotes + (1 if sign in _QUOTE_OPEN else -1))
        self._bracket(sign)

    def _tick(self) -> None:
        self.ticks += 1
        if self.ticks == 3:
            self.fenced, self.code = not self.fenced, False
        elif self.ticks < 3 and not self.fenced:
            self.code = not self.code

    def _bracket(self, sign: str) -> None:
        if sign in _OPENERS:
            self.brackets += 1
            self.in_bracket = 0
        elif sign in _CLOSERS:
            self.brackets = max(0, self.brackets - 1)
        elif self.brackets:
            self.in_bracket += 1
            if self.in_bracket > BRACKET:
                self.brackets = 0


@dataclass(slots=True)
class ClauseCutter:
    """Cuts one reply, fed in pieces of any size; the same text gives the same clauses.

    The first clause ends early, at a comma, once it says enough; later ones are sentences. The
    clauses' texts and ``unspoken`` together are the text that was fed, character by character.

    Args:
        language: BCP 47, of the character's voice; decides how bare numbers are read.
    """

    language: str
    unspoken: str = ""  # what came after the last clause and has nothing to say: "😊"
    _held: str = ""  # of the clause that is being read
    _silent: str = ""  # stands before _held, and has nothing to say
    _begins_fenced: bool = False  # _held[0] is in a block of code
    _at: int = 0  # what lies before it in _held is decided
    _line: int = 0  # where the line of _at begins in _held; -1: before it
    _begins_line: bool = True  # _held[0] is the first of its line
    _number: int = 0
    _context: _Context = field(default_factory=_Context)
    _said: float = 0.0  # weight of what is decided, roughly
    _in_word: bool = False

    def feed(self, text: str) -> list[Clause]:
        """Take the next piece of the reply; return the clauses that it completes."""
        clauses: list[Clause] = []
        for sign in text:
            self._held += sign
            self._read(clauses, last=False)
            if len(self._held) > LONGEST_HELD:
                self._relieve(clauses)
        return clauses

    def flush(self) -> list[Clause]:
        """Say that the reply is complete; return what is left of it."""
        clauses: list[Clause] = []
        self._read(clauses, last=True)
        if self._held and not self._cut(clauses, len(self._held), lone=True):
            self._silent += self._held
            self._drop(len(self._held))
        self.unspoken, self._silent = self._silent, ""
        return clauses

    def overdue(self) -> list[Clause]:
        """Cut what is there, after the last whole word: the caller has waited long enough.

        Returns nothing where nothing can be said yet. When this is called depends on time, so
        the clauses do from here on.
        """
        clauses: list[Clause] = []
        end = self._last_break()
        if end:
            self._cut(clauses, end)
        return clauses

    def _read(self, clauses: list[Clause], last: bool) -> None:
        while self._at < len(self._held):
            end, wait = self._next_end(last)
            if wait:
                return
            if not end or not self._cut(clauses, end):
                self._go_past()

    def _next_end(self, last: bool) -> tuple[int, bool]:
        """Return where a clause may end at the present character (0: not), or to wait."""
        sign, held = self._held[self._at], self._held
        if self._context.fenced or (sign != "\n" and not self._context.closed):
            return 0, False
        if sign not in MARKS:
            return self._break_of_long(sign)
        found = judge(held, self._at, self._context.quoted, last, self._line)
        if found.verdict is Verdict.WEAK and not self._may_breathe(found.end):
            return 0, False
        return found.end, found.verdict is Verdict.WAIT

    def _may_breathe(self, end: int) -> bool:
        if self._number:
            return self._said >= LONG
        return self._said >= ENOUGH / 2 and weight(self._speak(end)) >= ENOUGH

    def _break_of_long(self, sign: str) -> tuple[int, bool]:
        """Return a place between words in a clause that has no mark for too long."""
        if self._said < (LONGEST if self._number else LONGEST_FIRST):
            return 0, False
        after = self._at + 1
        if sign.isspace():
            return after, False
        if not is_han(sign):
            return 0, False
        if after == len(self._held):
            return 0, True
        return after if is_han(self._held[after]) else 0, False

    def _last_break(self) -> int:
        """Return where what was read so far can be cut: after the last whole word."""
        if not self._context.closed:
            return 0
        if self._at < len(self._held):  # an end that waits to be told from "3.5" or "?!"
            end, wait = self._next_end(last=True)
            if end and not wait and not self._held[self._at - 1 : self._at].isdigit():
                return end
        elif self._held and is_han(self._held[-1]):
            return self._at
        end = self._at
        while end and not (self._held[end - 1].isspace() and not self._held[end - 2].isdigit()):
            end -= 1
        return end

    def _speak(self, end: int) -> str:
        text = "```" + self._held[:end] if self._begins_fenced else self._held[:end]
        return spoken(text, self.language, self._begins_line)

    def _cut(self, clauses: list[Clause], end: int, lone: bool = False) -> bool:
        """End the clause there, if it says something; ``lone``: though it be a mere filler."""
        if not self._said and not any(map(str.isalnum, self._held[self._at : end])):
            return False
        said = self._speak(end)
        if not said or not (lone or self._said >= ENOUGH or _is_more_than_filler(said)):
            return False
        clauses.append(Clause(self._number, self._silent + self._held[:end], said))
        self._number += 1
        self._silent = ""
        self._drop(end)
        return True

    def _relieve(self, clauses: list[Clause]) -> None:
        """Cut what has become too long to be read again; what says nothing is only kept."""
        if self._context.fenced or not self._cut(clauses, self._at, lone=True):
            self._silent += self._held[: self._at]
            self._drop(self._at)

    def _drop(self, end: int) -> None:
        """Forget what lies before ``end``, but not what is open there."""
        while self._at < end:
            self._go_past()
        self._begins_fenced = self._context.fenced
        self._begins_line = self._held[end - 1] == "\n"
        self._held = self._held[end:]
        self._at -= end
        newline = self._held.rfind("\n", 0, self._at)
        self._line = newline + 1 if newline >= 0 or self._begins_line else -1
        self._said = weight(self._held[: self._at])

    def _go_past(self) -> None:
        sign = self._held[self._at]
        self._at += 1
        self._context.go_past(sign)
        if sign == "\n":
            self._line = self._at
        letter = sign.isalnum()
        if is_han(sign):
            self._said += 1 / 4
        elif letter and not self._in_word:
            self._said += 1 / 3
        self._in_word = letter and not is_han(sign)


def _is_more_than_filler(said: str) -> bool:
    found = words(said)
    if len(found) == 1 and is_han(found[0]) and said.endswith("…"):  # "我……我不知道。"
        return False
    return any(word.lower() not in FILLERS for word in found)
