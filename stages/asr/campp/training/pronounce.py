"""Words to phones: CMU's dictionary as PocketSphinx brings it, and flite for words it lacks."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stages.asr.campp.training.text import PHONES
from stages.errors import UserError

DICTIONARY = "en-us/cmudict-en-us.dict"

PATIENCE = 10.0
"""Seconds for one word of flite."""

Phones = tuple[str, ...]

_VARIANT = re.compile(r"(.+)\(\d+\)")
_REDUCED = {"ax": "AH", "axr": "ER", "ix": "IH", "el": "L", "em": "M", "en": "N", "dx": "D"}


class NoDictionary(UserError):
    """Phones are wanted, and the package with the dictionary is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "A training of phones needs PocketSphinx's dictionary: pip install 'firstword[train]',"
            " or set 'network.units: letters'."
        )


class Lexicon:
    """Pronunciations by word, the usual one first.

    Args:
        entries: what is known.
        guess: asks flite for words that are not, where it is installed.
    """

    def __init__(self, entries: dict[str, list[Phones]], guess: bool = True) -> None:
        self._entries = entries
        self._flite = shutil.which("flite") if guess else None

    @classmethod
    def read(cls, package: str = "pocketsphinx") -> Lexicon:
        """Read CMU's dictionary.

        Raises:
            NoDictionary: the package is not installed.
        """
        try:
            found: Any = importlib.import_module(package)
        except ImportError as error:
            raise NoDictionary from error
        lines = Path(found.get_model_path(DICTIONARY)).read_text(encoding="utf-8").splitlines()
        return cls(_entries(lines))

    def of(self, word: str) -> list[Phones]:
        """Return a word's pronunciations; nothing if nobody knows any."""
        if word not in self._entries:
            guessed = self._guessed(word) if self._flite else ()
            self._entries[word] = [guessed] if guessed else []
        return self._entries[word]

    def spelled(self, text: str) -> Phones | None:
        """Return the phones of a text, or nothing: one of its words is unknown."""
        said: list[str] = []
        for word in text.split():
            known = self.of(word)
            if not known:
                return None
            said += known[0]
        return tuple(said)

    def _guessed(self, word: str) -> Phones:
        try:
            told = subprocess.run(  # one word through one program: its own arguments, no shell
                [str(self._flite), "-t", word, "-ps", "none"],
                check=True, timeout=PATIENCE, capture_output=True, text=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return ()
        phones = [_REDUCED.get(p, p.upper()) for p in told.stdout.split() if p != "pau"]
        return tuple(phones) if all(phone in PHONES for phone in phones) else ()


def _entries(lines: Iterable[str]) -> dict[str, list[Phones]]:
    entries: dict[str, list[Phones]] = {}
    for line in lines:
        word, *phones = line.split()
        found = _VARIANT.fullmatch(word)
        entries.setdefault(found[1] if found else word, []).append(tuple(phones))
    return entries
