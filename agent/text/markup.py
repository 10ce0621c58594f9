"""Takes away what is only for the eye: markdown, links, brackets, emoji, quotation marks."""

from __future__ import annotations

import re

from agent.text.signs import HAN, is_emoji

_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]+)>")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,120}>")
_IMAGE = re.compile(r"!\[[^\]\n]*\]\([^)\n]*\)")
_LINK = re.compile(r"\[([^\]\n]*)\]\([^)\n]*\)")
_CODE = re.compile(r"`([^`\n]*)`")

_RULE = re.compile(r"[ \t]*(?:[-*_=][ \t]*){3,}$|[ \t|:-]*--[ \t|:-]*$", re.ASCII)
_ROW = re.compile(r"[ \t]*\|(.*)\|[ \t]*$")
_LEAD = re.compile(r"[ \t]*(?:>[ \t]?|#{1,6}[ \t]+|[-*+•·‣▪●○–][ \t]+(?:\[[ xX]\][ \t]+)?)+")
_ORDERED = re.compile(r"[ \t]*(?:[（(](\d{1,3})[)）]|(\d{1,3})[.)、．])[ \t]*(?!\d)(?=\S)")
_ACTION = re.compile(rf"(^|(?<=[.!?。！？…\n]))([ \t]*)\*(?!\*)[a-z{HAN}][^*\n]{{0,60}}\*(?!\*)")

_TIMES = re.compile(r"(?<=\d)[ \t]*\*[ \t]*(?=\d)")
_KEPT = (
    (re.compile(r"(?<=\bC)#"), "♯"),
    (re.compile(r"(?<![\w&])#(?=\d)", re.ASCII), "№"),
    (re.compile(r"(?<=[\w)\s])\s*>=?\s*(?=[\d-])"), lambda found: "≥" if "=" in found[0] else "＞"),
    (re.compile(r"(?<=[\w)\s])\s*<=?\s*(?=[\d-])"), lambda found: "≤" if "=" in found[0] else "＜"),
)
"""Signs of markup that are words here; they get a form that nothing takes away."""

_EMPHASIS = re.compile(r"\*+|~~|(?<![A-Za-z0-9])_+|_+(?![A-Za-z0-9])|`+")
_KEPT_BRACKET = re.compile(r"(?:[(（]\s*([\d\s+-]{1,8})\s*[)）]|(?<=[A-Za-z])\(([A-Za-z]{0,4})\))")
_BRACKET = re.compile(r"[(（][^()（）\n]*[)）]|\[[^\[\]\n]*\]")
_STRAY = re.compile(r"[\[\]()（）{}<>《》〈〉【「」『』“”\"|\\^#]")
_LABEL = re.compile(r"】\s*")
_QUOTE = re.compile(r"(?<![A-Za-z0-9])['‘’]|['‘’](?![A-Za-z0-9])")


def links_to_text(text: str) -> str:
    """Take away blocks of code, tags, images, and of links all but their words."""
    text = _COMMENT.sub(" ", _FENCE.sub(" ", text))
    text = _LINK.sub(r"\1", _IMAGE.sub(" ", text))
    return _TAG.sub(" ", _AUTOLINK.sub(r" \1 ", text))


def lines_to_text(text: str, begins_line: bool) -> str:
    """Take away what stands at the beginning of lines: bullets, headings, tables, rules."""
    text = _ACTION.sub(r"\1", text)
    lines = text.split("\n")
    shown = [lines[0] if not begins_line else _line(lines[0]), *map(_line, lines[1:])]
    return "\n".join(shown)


def _line(line: str) -> str:
    if _RULE.match(line):
        return ""
    if row := _ROW.match(line):
        cells = [cell.strip() for cell in row[1].split("|")]
        return ", ".join(cell for cell in cells if cell)
    if lead := _LEAD.match(line):
        line = line[lead.end() :]
    if number := _ORDERED.match(line):
        line = f"{number[1] or number[2]}, {line[number.end() :]}"
    return line


def signs_to_text(text: str) -> str:
    """Take away emphasis, brackets with what is in them, quotation marks and emoji."""
    text = _TIMES.sub("×", _CODE.sub(r"\1", text))
    for sign, kept in _KEPT:
        text = sign.sub(kept, text)
    text = _EMPHASIS.sub("", text)
    text = _KEPT_BRACKET.sub(lambda found: f" {found[1]} " if found[1] else found[2], text)
    while (less := _BRACKET.sub(" ", text)) != text:
        text = less
    text = _QUOTE.sub("", _STRAY.sub(" ", _LABEL.sub("，", text)))
    return "".join(" " if is_emoji(sign) else sign for sign in text)
