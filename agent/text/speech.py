"""What of a clause is spoken."""

from __future__ import annotations

import re

from agent.text import chinese, english
from agent.text.addresses import addresses_to_words
from agent.text.markup import lines_to_text, links_to_text, signs_to_text
from agent.text.signs import HAN

_HAN = re.compile(f"[{HAN}]")
_LATIN = re.compile("[A-Za-z]")
_SAYS = re.compile(r"[^\W_]")

_DASH = re.compile(r"\s*(?:—+|–|―+|(?<!\S)-{1,3}(?!\S)|--+)\s*")
_WAVE = re.compile(r"[~～]+")
_SPACE = re.compile(r"\s+")
_SPACE_BEFORE = re.compile(r"\s+([，。！？；：、…,.!?;:%])")
_SPACE_IN_HAN = re.compile(rf"(?<=[{HAN}，。！？；：、…])\s+(?=[{HAN}])")
_COMMA_IN_HAN = re.compile(rf"(?<=[{HAN}]),\s*(?=[{HAN}])")
_LEADING = re.compile(r"^[\s，。！？；：、…,.!?;:·/\-]+(?!\d)")
_COMMAS = re.compile(r"[,，、:：](?:\s*[,，、:：])+")
_COMMA_END = re.compile(r"[,，、:：]\s*([。！？；…!?]|\.(?!\d))")


def spoken(text: str, language: str, begins_line: bool = True) -> str:
    """Return the words of a piece of text as a voice should say them; "" if there are none.

    Args:
        text: one clause, or any text.
        language: BCP 47; how numbers are read where no word beside them tells. Numbers are
            written out for Chinese and English; other languages' voices get them as they are.
        begins_line: whether the text begins a line, where "- " is a bullet and no minus.
    """
    text = links_to_text(text)
    chosen = _language(text, language)
    text = addresses_to_words(text, chinese_words=chosen == "zh")
    text = signs_to_text(lines_to_text(text, begins_line))
    if chosen == "zh":
        text = chinese.numbers_to_words(text)
    elif chosen == "en":
        text = english.numbers_to_words(text)
    text = _tidy(text, "，" if chosen == "zh" else ", ")
    return text if _SAYS.search(text) else ""


def _language(text: str, language: str) -> str:
    base = language.replace("_", "-").split("-")[0].lower()
    if base not in ("zh", "yue", "cmn", "en"):
        return base
    if _HAN.search(text):
        return "zh"
    if _LATIN.search(text):
        return "en"
    return "en" if base == "en" else "zh"


def _tidy(text: str, pause: str) -> str:
    text = _WAVE.sub(" ", _DASH.sub(pause, text))
    text = _SPACE_IN_HAN.sub("", _SPACE_BEFORE.sub(r"\1", _SPACE.sub(" ", text)))
    text = _COMMA_END.sub(r"\1", _COMMAS.sub(lambda found: found[0][0], text))
    return _LEADING.sub("", _COMMA_IN_HAN.sub("，", text)).strip()
