"""Sentences for synthetic speech, drawn from a grammar of our own."""

from __future__ import annotations

import random
import re
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from stages.errors import UserError

_SLOT = re.compile(r"\{(\w+)\}")

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
    """Draws sentences: each rule is a list of alternatives, ``{name}`` stands for another rule."""

    def __init__(self, file: str, rules: dict[str, list[str]]) -> None:
        self._rules = rules
        if START not in rules:
            raise NotAGrammar(file, f"it has no rule {START!r}")
        for name, alternatives in rules.items():
            for text in alternatives:
                for slot in _SLOT.findall(text):
                    if slot not in rules:
                        raise NotAGrammar(file, f"{name} names {slot!r}, which is no rule")

    @classmethod
    def read(cls, file: Path | None = None) -> Grammar:
        """Read a grammar, or the one that comes with FirstWord.

        Raises:
            NotAGrammar: the file is none; with the reason.
        """
        own = resources.files(__package__).joinpath("sentences.yaml")
        name = str(file or own.name)
        try:
            text = file.read_text(encoding="utf-8") if file else own.read_text(encoding="utf-8")
            rules: Any = yaml.safe_load(text)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise NotAGrammar(name, str(error).split("\n", maxsplit=1)[0]) from error
        if not isinstance(rules, dict):
            raise NotAGrammar(name, "its top level must be rules by name")
        for rule, alternatives in rules.items():
            words = isinstance(alternatives, list) and all(isinstance(x, str) for x in alternatives)
            if not (words and alternatives):
                raise NotAGrammar(name, f"{rule} must be a list of texts")
        return cls(name, rules)

    def draw(self, rng: random.Random) -> str:
        """Return one sentence: lower case, words between single spaces."""
        while True:
            text = self._expand(START, rng, 0)
            if text and len(text) <= LONGEST:
                return " ".join(text.split())

    def _expand(self, rule: str, rng: random.Random, depth: int) -> str:
        if depth > DEEPEST:
            return " " * (LONGEST + 1)
        chosen = rng.choice(self._rules[rule])
        return _SLOT.sub(lambda slot: self._expand(slot[1], rng, depth + 1), chosen)
