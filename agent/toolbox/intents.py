"""Answers the built-in tools for a model too small to be trusted with tools. Pure.

Only what is said outright is understood, and only where the profile has the tool; anything else
goes to the model. Real models never meet this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from agent.toolbox.arithmetic import NoArithmetic, calculate
from stages.events import ToolCall

LONGEST = 80
"""Characters of what may be an order; a longer utterance is talk."""

_TIME = re.compile(
    r"(?:what(?:'s| is) the (?:time|date)|what time is it|what day is (?:it|today)"
    r"|tell me the time)"
    r"(?: (?:right |just )?now| today| please|,)*[.!?]*$"
    r"|^(?:请问|告诉我|你好|现在|今天|是|，)*(?:几点|什么时间|几月几[号日]|星期几|几号)了?[吗呢啊]?[。？！]?$",
    re.I,
)
"""Here and now only: the clock knows nothing of Tokyo or of tomorrow."""
_BYE = re.compile(
    r"^(please )?(hang up|end (the|this) call)( now| please)?[.!。！]?$|挂(断|了)?电话", re.I
)
_TIMER = re.compile(
    r"timer (?:for|of) (?P<n>\d+|[a-z]+) (?P<unit>second|minute|hour)"
    r"|(?P<n2>\d+|[a-z]+)[- ](?P<unit2>second|minute|hour) timer"
    r"|(?P<n3>\d+|[一二两三四五六七八九十]+)个?(?P<unit3>秒钟?|分钟|小时)(?:后|之后|以后).{0,4}(?:叫|提醒|告诉)"
    r"|(?:定|设).{0,4}?(?P<n4>\d+|[一二两三四五六七八九十]+)个?(?P<unit4>秒钟?|分钟|小时)",
    re.I,
)
_SUM = re.compile(
    r"(?:what(?:'s| is)|how much is|calculate)\s+(?P<sum>.+)|(?P<sum2>.+?)(?:等于|是)(?:几|多少)",
    re.I,
)
_WORDS = {
    "plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "over": "/",
    "加": "+", "减": "-", "乘以": "*", "乘": "*", "除以": "/", "点": ".",
}  # fmt: skip
_NUMBERS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20,
    "a": 1, "an": 1, "thirty": 30, "forty": 40, "forty-five": 45, "fifty": 50, "sixty": 60,
}  # fmt: skip
_HAN = "零一二三四五六七八九"
_UNITS = {"second": 1, "秒": 1, "秒钟": 1, "minute": 60, "分钟": 60, "hour": 3600, "小时": 3600}


def intent(text: str, tools: Collection[str]) -> ToolCall | None:
    """Return the tool that the caller asks for outright, if the profile has it."""
    text = text.strip()
    if len(text) > LONGEST:
        return None
    found = _timer(text) or _sum(text) or _plain(text)
    return found if found is not None and found.name in tools else None


def _plain(text: str) -> ToolCall | None:
    if _TIME.search(text):
        return ToolCall("intent", "time", "{}")
    return ToolCall("intent", "hang_up", "{}") if _BYE.search(text) else None


def _timer(text: str) -> ToolCall | None:
    match = _TIMER.search(text)
    if match is None:
        return None
    said = {name.rstrip("234"): value for name, value in match.groupdict().items() if value}
    number = _number(said["n"].lower())
    if number is None:
        return None
    seconds = number * _UNITS[said["unit"].lower()]
    return ToolCall("intent", "timer", json.dumps({"seconds": seconds}))


def _sum(text: str) -> ToolCall | None:
    match = _SUM.search(text)
    if match is None:
        return None
    said = (match["sum"] or match["sum2"] or "").lower().strip(" ?.。？!")
    for word, sign in _WORDS.items():
        said = said.replace(word, f" {sign} " if sign != "." else sign)
    pieces = [_number(piece) for piece in said.split()]
    said = " ".join(
        piece if number is None else str(number)
        for piece, number in zip(said.split(), pieces, strict=True)
    )
    if not re.search(r"\d.*[-+*/^%]", said):
        return None
    try:
        calculate(said)
    except NoArithmetic:
        return None
    return ToolCall("intent", "calculate", json.dumps({"expression": said}))


def _number(word: str) -> int | None:
    if word.isdecimal():
        return int(word)
    if word in _NUMBERS:
        return _NUMBERS[word]
    if word and all(character in _HAN + "十两" for character in word):
        tens, ten, ones = word.replace("两", "二").partition("十")
        high = _HAN.index(tens) if tens in _HAN and tens else 1
        low = _HAN.index(ones) if ones and ones in _HAN else 0
        return high * 10 + low if ten else (_HAN.index(tens) if len(tens) == 1 else None)
    return None
