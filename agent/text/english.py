"""Numbers, dates, times, money and the like as English words (American)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from num2words import num2words

from agent.text.signs import NUMBER

Found: TypeAlias = re.Match[str]
Rule: TypeAlias = tuple[str, str | Callable[[Found], str]]

_LONGEST = 15  # digits; longer numbers are read one by one
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MONTH = "|".join([*_MONTHS, *(f"{name[:3]}\\b\\.?" for name in _MONTHS), "Sept\\b\\.?"])
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_SCALES = {"k": "thousand", "m": "million", "b": "billion", "bn": "billion", "t": "trillion"}
_SCALE = r"(?:\s?(thousand|million|billion|trillion)\b|(K|M|B|bn|k|m|b)\b)"
_COINS = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "¥": ("yuan", "yuan", "", ""),
    "￥": ("yuan", "yuan", "", ""),
    "₹": ("rupee", "rupees", "", ""),
    "₩": ("won", "won", "", ""),
    "USD": ("dollar", "dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"),
    "RMB": ("yuan", "yuan", "", ""),
    "CNY": ("yuan", "yuan", "", ""),
}
_UNITS = {
    "km/h": "kilometer per hour", "mph": "mile per hour", "m/s": "meter per second",
    "km²": "square kilometer", "m²": "square meter", "m³": "cubic meter",
    "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "m": "meter", "mi": "mile",
    "ft": "foot", "yd": "yard", "kg": "kilogram", "mg": "milligram", "g": "gram",
    "lb": "pound", "lbs": "pound", "oz": "ounce", "ml": "milliliter", "mL": "milliliter",
    "L": "liter", "l": "liter", "ms": "millisecond", "s": "second", "min": "minute",
    "mins": "minute", "h": "hour", "hr": "hour", "hrs": "hour", "Hz": "hertz",
    "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "KB": "kilobyte",
    "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte",
    "Mbps": "megabit per second", "W": "watt", "kW": "kilowatt", "kWh": "kilowatt hour",
    "V": "volt", "mAh": "milliamp hour", "kcal": "kilocalorie",
    "°C": "degree Celsius", "°F": "degree Fahrenheit", "℃": "degree Celsius",
    "℉": "degree Fahrenheit", "°": "degree",
}  # fmt: skip
_ODD_PLURALS = {"foot": "feet", "hertz": "hertz", "kilohertz": "kilohertz",
                "megahertz": "megahertz", "gigahertz": "gigahertz"}  # fmt: skip
_FRACTIONS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 8: "eighth", 10: "tenth"}
_SHORT = {
    "Dr": "Doctor", "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Prof": "Professor",
    "St": "Saint", "Mt": "Mount", "Gen": "General", "Sgt": "Sergeant", "Capt": "Captain",
    "Gov": "Governor", "Sen": "Senator",
}  # fmt: skip
_PHRASES = {
    r"e\.g\.,?": "for example,", r"i\.e\.,?": "that is,", r"etc\.(?=\s*$)": "et cetera.",
    r"etc\.": "et cetera", r"vs\.": "versus", r"approx\.": "approximately", r"Jr\.": "Junior",
    r"w/o": "without", r"24/7": "twenty-four seven", r"a\.k\.a\.": "also known as",
}  # fmt: skip
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
_COIN = "|".join(re.escape(coin) for coin in _COINS)
_VULGAR = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
_NO_WORD_BEFORE, _NO_WORD_AFTER = r"(?<![A-Za-z0-9.])", r"(?![A-Za-z0-9])"


def cardinal(number: str) -> str:
    """Return the words of a number such as "1,299.5"."""
    whole, _, part = number.replace(",", "").partition(".")
    if len(whole) > _LONGEST:
        return digits(number)
    words = str(num2words(int(whole))).replace(",", "").replace(" and ", " ")
    return f"{words} point {digits(part)}" if part else words


def ordinal(number: int) -> str:
    """Return "twenty-first" for 21."""
    return str(num2words(number, to="ordinal")).replace(",", "").replace(" and ", " ")


def year(number: int) -> str:
    """Return "nineteen ninety-eight" for 1998."""
    if 2000 <= number < 2010 or not 1000 <= number < 3000:
        return cardinal(str(number))
    return str(num2words(number, to="year")).replace("oh-", "oh ")


def digits(text: str) -> str:
    """Return the digits of a text, one word each."""
    return " ".join(_DIGITS[int(sign)] for sign in text if sign.isascii() and sign.isdigit())


def numbers_to_words(text: str) -> str:
    """Write everything with digits in it, and common abbreviations, as words."""
    for vulgar, plain in _VULGAR.items():
        text = text.replace(vulgar, f" {plain}" if re.search(rf"\d{vulgar}", text) else plain)
    for rule, words in _RULES:
        text = rule.sub(words, text)
    return text


def _plural(unit: str, number: str) -> str:
    if number in ("1", "one"):
        return unit
    first, _, rest = unit.partition(" ")
    if first in ("square", "cubic", "kilowatt", "milliamp"):
        return f"{first} {_plural(rest, number)}"
    return " ".join(filter(None, (_ODD_PLURALS.get(first, first + "s"), rest)))


def _time(found: Found) -> str:
    hour, minute, half = int(found["h"]), int(found["m"] or 0), found["half"]
    if hour > 24 or minute > 59:
        return found[0]
    words = cardinal(str(hour))
    if minute:
        words += (" oh " if minute < 10 else " ") + cardinal(str(minute))
    elif not half:
        words += " o'clock"
    if half:
        words += f" {half[0].upper()}M"
        words += "." if found[0].endswith(".") and not found.string[found.end() :].strip() else ""
    return words


def _date(month: int, day: int, of_year: str | None) -> str:
    return f"{_MONTHS[month - 1]} {ordinal(day)}" + (f", {year(int(of_year))}" if of_year else "")


def _iso_date(found: Found) -> str:
    month, day = int(found[2]), int(found[3])
    return _date(month, day, found[1]) if 1 <= month <= 12 and 1 <= day <= 31 else found[0]


def _us_date(found: Found) -> str:
    month, day = int(found[1]), int(found[2])
    if month > 12:
        month, day = day, month
    return _date(month, day, found[3]) if 1 <= month <= 12 and 1 <= day <= 31 else found[0]


def _month_of(name: str) -> str:
    return next(month for month in _MONTHS if month.startswith(name[:3]))


def _month_day(found: Found) -> str:
    of_year = f", {year(int(found[3]))}" if found[3] else ""
    return f"{_month_of(found[1])} {ordinal(int(found[2]))}{of_year}"


def _day_month(found: Found) -> str:
    of_year = f", {year(int(found[3]))}" if found[3] else ""
    return f"the {ordinal(int(found[1]))} of {_month_of(found[2])}{of_year}"


def _money(found: Found) -> str:
    number, (one, many, cent, cents) = found["n"], _COINS[found["coin"]]
    scale = found["word"] or _SCALES.get((found["letter"] or "").lower())
    minus = "minus " if found["sign"] else ""
    if scale:
        return f"{minus}{cardinal(number)} {scale} {many}"
    whole, _, part = number.replace(",", "").partition(".")
    coins = f"{cardinal(whole)} {one if whole == '1' else many}"
    if not part or not cent or len(part) > 2:
        return minus + (coins if not part.strip("0") else f"{cardinal(number)} {many}")
    small = int(part.ljust(2, "0"))
    change = f"{cardinal(str(small))} {cent if small == 1 else cents}"
    if not small:
        return minus + coins
    return minus + (change if whole == "0" else f"{coins} and {change}")


def _unit(found: Found) -> str:
    return f"{_signed(found)} {_plural(_UNITS[found['unit']], found['n'])}"


def _signed(found: Found) -> str:
    return ("minus " if found["sign"] else "") + cardinal(found["n"])


def _fraction(found: Found) -> str:
    over, under = int(found[2]), int(found[3])
    if under not in _FRACTIONS or not 0 < over < under:
        return found[0]
    words = f"{cardinal(found[2])} {_FRACTIONS[under]}" + ("s" if over > 1 else "")
    words = words.replace("halfs", "halves")
    article = "a" if over == 1 else cardinal(found[2])
    return f"{cardinal(found[1])} and {article} {words.partition(' ')[2]}" if found[1] else words


def _year(found: Found) -> str:
    return year(int(found[1]))


def _decade(found: Found) -> str:
    words = year(int(found[1])) if len(found[1]) == 4 else cardinal(found[1])
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def _bare(found: Found) -> str:
    number = found["n"]
    if number[0] == "0" and len(number) > 1 and number[1] != ".":
        return digits(number)
    if "," not in number and "." not in number and len(number) > 6:
        return digits(number)
    return _signed(found)


def _scaled(found: Found) -> str:
    return f"{cardinal(found[1])} {_SCALES[found[2].lower()]}"


def _version(found: Found) -> str:
    return " point ".join(cardinal(part) for part in found[1].split("."))


def _phone(found: Found) -> str:
    groups = re.split(r"[^\d]+", found[0].strip())
    plus = "plus " if found[0].lstrip().startswith("+") else ""
    return plus + ", ".join(digits(group) for group in groups if group)


_SIGN = r"(?P<sign>(?<![A-Za-z0-9)\]])[-−])?"
_PHRASE_RULES: tuple[Rule, ...] = tuple(
    (rf"(?<![A-Za-z0-9])(?:{short})", words) for short, words in _PHRASES.items()
)
_PATTERNS: tuple[Rule, ...] = (
    *_PHRASE_RULES,
    (rf"\b({'|'.join(_SHORT)})\.(?=\s+[A-Z])", lambda found: _SHORT[found[1]]),
    (r"\b[Nn]os?\.\s?(?=\d)", "number "),
    (r"№\s?", "number "),
    (r"\b([A-Z][a-z]+) St\.(?=,|\s+[a-z]|\s*$)", r"\1 Street"),
    (
        r"(?<![\w.:])(\d{1,2}(?::\d\d)?\s?(?:[AaPp]\.?[Mm]\b\.?)?)\s?[-–]\s?"
        r"(?=\d{1,2}(?::\d\d|\s?[AaPp]\.?[Mm]\b))",
        r"\1 to ",
    ),
    (rf"({_COIN})\s?({NUMBER})\s?[-–]\s?(?:{_COIN})?(?={NUMBER})", r"\2 to \1"),
    (r"(?<=\d)x\b(?!\s?\d)", " times"),
    (
        r"(?<![\w.])(?:\+\d{1,3}[\s-]?)?(?:\d{3}\s?[-. ]\s?)?\d{3}[-.]\d{4}(?![\w-])"
        r"|(?<![\w.])\+\d{1,3}(?:[\s-]\d{2,5}){2,4}(?!\w)|(?<!\w)1-\d{3}-\d{3}-\d{4}(?!\w)",
        _phone,
    ),
    (
        r"(?<![\w.:])(?P<h>\d{1,2}):(?P<m>[0-5]\d)(?!\d|:\d)"
        r"(?:\s?(?P<half>[AaPp](?:\.[Mm]\.|[Mm]\b)))?",
        _time,
    ),
    (
        r"(?<![\w.:])(?P<h>\d{1,2})(?P<m>)\s?(?P<half>[AaPp](?:\.[Mm]\.|[Mm]\b))",
        _time,
    ),
    (r"\b(\d{4})['’]?s\b", _decade),
    (r"(?<=\b(?:the|his|her) )(\d0)s\b", _decade),
    (r"(?<=\b(?:late|your) )(\d0)s\b", _decade),
    (r"(?<=\b(?:early|their) )(\d0)s\b", _decade),
    (r"\b(\d{4})[-/](\d{1,2})[-/](\d{1,2})\b", _iso_date),
    (r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b", _us_date),
    (
        rf"\b({_MONTH})\s(\d{{1,2}})(?:st|nd|rd|th)?(?![\w:%.]\d|\d)(?:,?\s(\d{{4}})\b)?",
        _month_day,
    ),
    (
        rf"\b(?:the )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)?\s({_MONTH})(?:,?\s(\d{{4}})\b)?",
        _day_month,
    ),
    (
        rf"(?P<sign>(?<!\w)[-−])?(?P<coin>{_COIN})\s?(?P<n>{NUMBER})"
        rf"(?:\s?(?P<word>thousand|million|billion|trillion)\b|(?P<letter>K|M|B|bn|k|m|b)\b)?",
        _money,
    ),
    (r"(?<=\d)\s-\s(?=\d+\s*=)", " minus "),
    (rf"({NUMBER}%?)\s?(?:-|–|—|~)\s?(?={NUMBER}(?!-?\d))", r"\1 to "),
    (r"(?<![\d:])(\d{1,2}):(\d{1,2})(?![\d:])", r"\1 to \2"),
    (r"(?<!\w)(\d)['′](\d{1,2})(?!\d)", r"\1 foot \2"),
    (r"\s?/\s?(?=(?:second|minute|hour|day|night|week|month|year|person)\b)", " per "),
    (r"(?i:(?<=\bcall )|(?<=\bdial ))(\d{3})\b(?![-.]\d)", lambda found: digits(found[1])),
    (rf"{_SIGN}{_NO_WORD_BEFORE}(?P<n>{NUMBER})\s?%", lambda found: f"{_signed(found)} percent"),
    (r"(?:(?<!\w)(\d+)\s)?(?<![\w/.])(\d{1,2})/(\d{1,2})(?![\w/]|\.\d)", _fraction),
    (rf"{_SIGN}{_NO_WORD_BEFORE}(?P<n>{NUMBER})\s?(?P<unit>{_UNIT}){_NO_WORD_AFTER}", _unit),
    (r"\b(\d+)(?:st|nd|rd|th)\b", lambda found: ordinal(int(found[1][:15]))),
    (r"(?<![\w.,$-])((?:1[1-9]|20)\d\d)(?![\w%]|[.,:]\d|-\d)", _year),
    (r"(?<![\w.])[vV]?(\d+(?:\.\d+){2,})(?![\w.]*\d)", _version),
    (rf"{_NO_WORD_BEFORE}({NUMBER})(K|M)\b", _scaled),
    (rf"{_NO_WORD_BEFORE}(\d{{1,2}}(?:\.\d+)?)(B)\b", _scaled),
    (r"(?<=\d)\s?[×x]\s?(?=\d)", " times "),
    (r"(?<=\d)\s?\+\s?(?=\d)", " plus "),
    (r"(?<=[\w)])\s?=\s?(?=[\w(-])", " equals "),
    (r"(?<=[A-Za-z])-(?=\d)", " "),
    (r"\s?&\s?", " and "),
    (r"(?<=\w)\s?/\s?(?=\d)", " slash "),
    (rf"{_SIGN}(?P<n>{NUMBER})", lambda found: f" {_bare(found)} "),
    (r"(?<=[A-Za-z])\+\+", " plus plus"),
    (r"(?<=\w)\+(?!\w)", " plus"),
    (r"%", " percent"),
    (r"(?<=[A-Za-z])♯", " sharp"),
    (r"\s?＞\s?", " greater than "),
    (r"\s?＜\s?", " less than "),
    (r"\s?≥\s?", " at least "),
    (r"\s?≤\s?", " at most "),
    (r"\s?±\s?", " plus or minus "),
    (r"\s?[≈~]\s?(?=\w)", " about "),
    (r"\s?→\s?", " to "),
    (r"@", " at "),
)
"""In this order: each leaves no digits for those behind it to misread."""

_RULES = tuple((re.compile(pattern, re.ASCII), words) for pattern, words in _PATTERNS)
