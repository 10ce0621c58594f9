"""Texts to token numbers: small letters, space and apostrophe; or phones."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

from stages.asr.campp.decode.hypothesis import SPACE

TOKENS = ("<blank>", "<unk>", SPACE, *"abcdefghijklmnopqrstuvwxyz", "'")
"""Blank, unknown, word space, a-z, apostrophe: what English needs and no more."""

PHONES = (
    "SIL", "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G",
    "HH", "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH",
    "UH", "UW", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
"""Silence and the 39 phones of CMU's dictionary."""

PHONE_TOKENS = ("<blank>", "<unk>", *PHONES[1:])
"""What a network of phones tells: a lexicon makes words of them."""

Units: TypeAlias = Literal["letters", "phones"]

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz' ")
"""The characters that English texts are spelled with."""

_NUMBERS = {token: number for number, token in enumerate(TOKENS)}


def normalised(text: str) -> str:
    """Return a text in small letters without marks; what is not Latin stays for the check."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("’", "'").replace("-", " "))
    kept = (c for c in plain if not unicodedata.combining(c))
    return " ".join("".join(c for c in kept if c not in '.,;:!?"()…—').split())


def foreign(text: str, letters: frozenset[str] = LETTERS) -> str:
    """Return the characters of a text that are no tokens, each once, in order."""
    return "".join(dict.fromkeys(c for c in text if c not in letters))


def encoded(text: str) -> list[int]:
    """Return the numbers of a text's tokens; the text has no foreign characters."""
    return [_NUMBERS[SPACE if character == " " else character] for character in text]


def phones_encoded(phones: Sequence[str]) -> list[int]:
    """Return the numbers of phones among ``PHONE_TOKENS``."""
    return [PHONES.index(phone) + 1 for phone in phones]


def tokens_of(units: Units) -> tuple[str, ...]:
    """Return the tokens of a network's units."""
    return PHONE_TOKENS if units == "phones" else TOKENS


def tokens_for(vocabulary: int) -> tuple[str, ...]:
    """Return the tokens of a network by how many there are."""
    return PHONE_TOKENS if vocabulary == len(PHONE_TOKENS) else TOKENS


def frames_needed(tokens: list[int]) -> int:
    """Return the output frames that CTC needs at least: one a token, one between twins."""
    return len(tokens) + sum(a == b for a, b in pairwise(tokens))
