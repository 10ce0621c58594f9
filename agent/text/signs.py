"""What kind of sign a character is."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

HAN = r"\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Han characters, as a range for regular expressions."""

NUMBER = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
"""A number as people write it: 7, 1,299.5, 0.5."""

_WORD = re.compile(rf"[{HAN}]|[^\W_{HAN}]+(?:['’][^\W_{HAN}]+)*")
_KEPT_SYMBOLS = frozenset("°℃℉№©®™")  # symbols by category, but words to a listener
_JOINERS = frozenset("\u200d\ufe0f\ufe0e\u20e3")


def is_han(sign: str) -> bool:
    """Return whether this is a Han character."""
    common, rare, old = "\u4e00" <= sign <= "\u9fff", "\u3400" <= sign <= "\u4dbf", sign >= "\uf900"
    return common or rare or (old and sign <= "\ufaff")


@lru_cache(maxsize=4096)
def is_wide(sign: str) -> bool:
    """Return whether this belongs to scripts written without spaces: Han, kana, full-width."""
    return unicodedata.east_asian_width(sign) in "WF" and not is_emoji(sign)


@lru_cache(maxsize=4096)
def is_emoji(sign: str) -> bool:
    """Return whether this is a pictograph, or a part of one."""
    if sign in _JOINERS or 0x1F1E6 <= ord(sign) <= 0x1F1FF or 0x1F3FB <= ord(sign) <= 0x1F3FF:
        return True
    return unicodedata.category(sign) == "So" and sign not in _KEPT_SYMBOLS


def weight(text: str) -> float:
    """Return how much is said, in units of "enough to begin": 4 Han characters or 3 words.

    A contraction is two words: "I'm sorry," says as much as "I am sorry,", and a voice may begin.
    """
    found = words(text)
    han = sum(1 for word in found if is_han(word[0]))
    joined = sum(word.count("'") + word.count("’") for word in found)
    return han / 4 + (len(found) - han + joined) / 3


def listed(words: str) -> frozenset[str]:
    """Return the words of a list with spaces between them."""
    return frozenset(words.split())


def words(text: str) -> list[str]:
    """Return the words; a Han character counts as one."""
    found: list[str] = _WORD.findall(text)
    return found
