"""Texts to token numbers: small letters, space and apostrophe."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

from stages.asr.campp.decode.hypothesis import SPACE

TOKENS = ("<blank>", "<unk>", SPACE, *"abcdefghijklmnopqrstuvwxyz", "'")
"""Blank, unknown, word space, a-z, apostrophe: what English needs and no more."""

_NUMBERS = {token: number for number, token in enumerate(TOKENS)}
_FOREIGN = re.compile(r"[^a-z' ]")


def normalised(text: str) -> str:
    """Return a text in small letters without marks; what is not Latin stays for the check."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("’", "'").replace("-", " "))
    kept = (c for c in plain if not unicodedata.combining(c))
    return " ".join("".join(c for c in kept if c not in '.,;:!?"()…—').split())


def foreign(text: str) -> str:
    """Return the characters of a text that are no tokens, each once, in order."""
    return "".join(dict.fromkeys(_FOREIGN.findall(text)))


def encoded(text: str) -> list[int]:
    """Return the numbers of a text's tokens; the text has no foreign characters."""
    return [_NUMBERS[SPACE if character == " " else character] for character in text]


def frames_needed(tokens: list[int]) -> int:
    """Return the output frames that CTC needs at least: one a token, one between twins."""
    return len(tokens) + sum(a == b for a, b in pairwise(tokens))
