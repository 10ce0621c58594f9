"""Sentences for synthetic speech, drawn from a grammar of our own."""

from __future__ import annotations

import random
import re
from importlib import resources
from pathlib import Path

from stages.errors import UserError

_SLOT = re.compile(r"\{(\w+)\}")
_RULE = re.compile(r"(\w+):(.*)")

DEEPEST = 12
"""Rules within rules; a sentence that goes deeper is drawn anew."""

LONGEST = 120
"""Characters; a longer sentence is drawn anew."""

START = "start"


class NotAGrammar(UserError):
    """A file that is no grammar of sentences."""

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file} is no grammar of sentences: {reason}.")


class Grammar:
    """Draws sentences; ``sentences.txt`` shows how the rules are written."""

    def __init__(self, file: str, rules: dict[str, list[str]]) -> None:
        self._rules = rules
        if START not in rules:
            raise NotAGrammar(file, f"it has no rule {START!r}")
        for name, alternatives in rules.items():
            for slot in _SLOT.findall(" ".join(alternatives)):
                if slot not in rules:
                    raise NotAGrammar(file, f"{name} names {slot!r}, which is no rule")

    @classmethod
    def read(cls, file: Path | None = None) -> Grammar:
        """Read a grammar, or the one that comes with FirstWord.

        Raises:
            NotAGrammar: the file is none; with the reason.
        """
        own = resources.files(__package__).joinpath("sentences.txt")
        name = str(file or own.name)
        try:
            text = (file or own).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise NotAGrammar(name, str(error)) from error
        return cls(name, _rules(name, text))

    def draw(self, rng: random.Random) -> str:
        """Return one sentence: lower case, words between single spaces."""
        while True:
            text = " ".join(self._expand(START, rng, 0).split())
            if 0 < len(text) <= LONGEST:
                return text

    def _expand(self, rule: str, rng: random.Random, depth: int) -> str:
        if depth > DEEPEST:
            return "." * (LONGEST + 1)
        chosen = rng.choice(self._rules[rule])
        return _SLOT.sub(lambda slot: self._expand(slot[1], rng, depth + 1), chosen)


def _rules(file: str, text: str) -> dict[str, list[str]]:
    rules: dict[str, str] = {}
    name = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        begun = _RULE.fullmatch(line)
        if begun:
            name = begun[1]
            rules[name] = begun[2]
        elif line.startswith(" ") and name:
            rules[name] += line
        else:
            raise NotAGrammar(file, f"line {number} is neither a rule nor goes on with one")
    return {name: [one.strip() for one in body.split("|")] for name, body in rules.items()}
