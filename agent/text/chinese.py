"""Numbers, dates, times, money and the like as Chinese words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import cn2an

from agent.text.signs import HAN, NUMBER

Found: TypeAlias = re.Match[str]
Rule: TypeAlias = tuple[str, str | Callable[[Found], str]]

_LONGEST = 15  # digits; longer numbers are read one by one
_DIGITS = "零一二三四五六七八九"
_PHONE_DIGITS = "零幺二三四五六七八九"
_HALVES = {"a": "上午", "p": "下午"}
_COINS = {
    "$": "美元", "US$": "美元", "USD": "美元", "€": "欧元", "EUR": "欧元", "£": "英镑",
    "¥": "元", "￥": "元", "RMB": "元", "CNY": "元", "HK$": "港元", "₩": "韩元",
}  # fmt: skip
_SCALES = {"k": "千", "K": "千", "w": "万", "W": "万", "M": "百万", "B": "十亿",
           "万": "万", "亿": "亿", "百万": "百万", "千万": "千万", "万亿": "万亿"}  # fmt: skip
_UNITS = {
    "km/h": "公里每小时", "m/s": "米每秒", "km²": "平方公里", "m²": "平方米", "㎡": "平方米",
    "m³": "立方米", "μg/m³": "微克每立方米",
    "µg/m³": "微克每立方米", "μm": "微米",
    "km": "公里", "cm": "厘米", "mm": "毫米", "nm": "纳米", "m": "米",
    "kg": "公斤", "mg": "毫克", "g": "克", "ml": "毫升", "mL": "毫升", "L": "升", "ms": "毫秒",
    "s": "秒", "min": "分钟", "h": "小时", "Hz": "赫兹", "kHz": "千赫", "MHz": "兆赫",
    "GHz": "吉赫", "W": "瓦", "kW": "千瓦", "kWh": "千瓦时", "V": "伏", "mAh": "毫安时",
    "kcal": "千卡", "°C": "摄氏度", "℃": "摄氏度", "°F": "华氏度", "℉": "华氏度", "°": "度",
}  # fmt: skip
_COUNTED = (
    "个|只|条|张|位|名|天|年(?!代)|周|小时|分钟|秒|点(?!\\d)|次|本|杯|件|种|块|元|斤|公斤|公里|米|岁|遍|碗|瓶|辆|台|家"
    "|份|套|双|对|间|节|门|句|段|首|篇|页|颗|棵|把|支|片|包|盒|箱|袋|人|口|倍|步|趟|场|项|部|座|样|万|亿|千"
)
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
_COIN = "|".join(re.escape(coin) for coin in sorted(_COINS, key=len, reverse=True))
_SCALE = "万亿|百万|千万|万|亿|[KkMBWw](?![A-Za-z])"
_ALONE = r"(?<![A-Za-z\d.])"
_TO = r"\s?(?:-|–|—|~|～|至|到)\s?"
_SIGN = r"(?P<sign>(?<![A-Za-z\d)\]])[-−])?"


def cardinal(number: str) -> str:
    """Return the words of a number such as "1,299.5"."""
    number = number.replace(",", "")
    whole, _, part = number.partition(".")
    if len(whole) > _LONGEST:
        return digits(number)
    words = str(cn2an.an2cn(str(int(whole)), "low"))
    if words[0] == "二" and words[1:2] in ("千", "万", "亿"):
        words = "两" + words[1:]
    return f"{words}点{digits(part)}" if part else words


def digits(text: str, names: str = _DIGITS) -> str:
    """Return the digits of a text one by one."""
    return "".join(names[int(sign)] for sign in text if sign.isascii() and sign.isdigit())


def numbers_to_words(text: str) -> str:
    """Write everything with digits in it as words."""
    text = text.translate(_NARROW)
    if not _WORTH_IT.search(text):
        return text
    for rule, words in _RULES:
        text = rule.sub(words, text)
    return text


_WORTH_IT = re.compile(r"[0-9%℃°&=+/№♯＞＜≥≤±≈→-]")  # most clauses have nothing of these
_NARROW = {ord(wide): ord(wide) - 0xFEE0 for wide in "０１２３４５６７８９％＋－＝／"}


def _counted(number: str) -> str:
    return "两" if number == "2" else cardinal(number)


def _signed(found: Found, minus: str = "负") -> str:
    return (minus if found["sign"] else "") + cardinal(found["n"])


def _date(found: Found) -> str:
    month, day = int(found["m"]), int(found["d"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return found[0]
    return f"{digits(found['y'])}年{cardinal(found['m'])}月{cardinal(found['d'])}日"


def _time(found: Found) -> str:
    hour, minute, half = int(found["h"]), int(found["m"] or 0), found["half"]
    if hour > 24 or minute > 59:
        return found[0]
    words = _HALVES[half[0].lower()] if half else ""
    words += ("两" if hour == 2 else cardinal(str(hour))) + "点"
    if not minute:
        return words
    if minute == 30:
        return words + "半"
    return words + ("零" if minute < 10 else "") + cardinal(str(minute)) + "分"


def _spell(found: Found) -> str:
    return digits(found[0], _PHONE_DIGITS)


def _money(found: Found) -> str:
    scale = _SCALES.get(found["scale"] or "", "")
    return f"{'负' if found['sign'] else ''}{cardinal(found['n'])}{scale}{_COINS[found['coin']]}"


def _percent(found: Found) -> str:
    return ("负" if found["sign"] else "") + f"百分之{cardinal(found['n'])}"


def _unit(found: Found) -> str:
    unit = _UNITS[found["unit"]]
    number = _counted(found["n"]) if not found["sign"] else cardinal(found["n"])
    minus = ("零下" if unit.endswith("度") else "负") if found["sign"] else ""
    return minus + number + unit.removeprefix("摄氏" if minus == "零下" else "")


def _fraction(found: Found) -> str:
    return f"{cardinal(found[2])}分之{cardinal(found[1])}" if int(found[2]) else found[0]


def _discount(found: Found) -> str:
    return digits(found[1]) + "折"


def _bare(found: Found) -> str:
    number = found["n"]
    if number[0] == "0" and len(number) > 1 and number[1] != ".":
        return digits(number)
    if "," not in number and "." not in number and len(number) > 8:
        return digits(number, _PHONE_DIGITS)
    return _signed(found)


_PATTERNS: tuple[Rule, ...] = (
    (r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d(?:[- ]?\d{4}){2}(?!\d)", _spell),
    (r"(?<!\d)0\d{2,3}-\d{7,8}(?!\d)|(?<!\d)[48]00-?\d{3}-?\d{4}(?!\d)", _spell),
    (
        r"(?<=[打拨叫])\s?\d{3,8}(?!\d|[.,]\d)(?![折分个次年月天块元岁])"
        r"|(?<=电话|热线|号码|拨打|密码|尾号|工号|邮编|房间|端口)[是为号：:]?\s?\d{3,}(?!\d|[.,]\d)"
        r"|(?<=验证码)[是为：:]?\s?\d{3,}(?!\d|[.,]\d)",
        lambda found: re.sub(r"\d+", _spell, found[0]),
    ),
    (r"(?<!\d)(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?![\d.])", _date),
    (r"(?<![\d.,])([12]\d{3})(?=\s?年)", lambda found: digits(found[1])),
    (
        r"(?<![\d.,])([0789][1-9])(?=\s?[年后])(?!年[代龄级前后来多内])",
        lambda found: digits(found[1]),
    ),
    (r"(?<=[周日一二三四五六])\s?[-–—~～]\s?(?=周)", "到"),
    (
        r"(?<![\d:])(\d{1,2}):(\d)(?!\d|:)",
        lambda found: f"{cardinal(found[1])}比{cardinal(found[2])}",
    ),
    (
        r"(?<![\d:])(?P<h>\d{1,2}):(?P<m>[0-5]\d)(?::00)?(?![\d:])(?:\s?(?P<half>[AaPp]\.?[Mm]\b\.?))?",
        _time,
    ),
    (r"(?<![\d:])(?P<h>\d{1,2})(?P<m>)\s?(?P<half>[AaPp]\.?[Mm]\b\.?)", _time),
    (
        rf"(?<=[\d零一二三四五六七八九十百千][点分日月号天年个%元岁度]){_TO}(?=\d|[零一两二三四五六七八九十])",
        "到",
    ),
    (rf"(?<=半){_TO}(?=[零一两二三四五六七八九十])", "到"),
    (rf"(?P<sign>(?<!\w)[-−])?(?P<coin>{_COIN})\s?(?P<n>{NUMBER})\s?(?P<scale>{_SCALE})?", _money),
    (r"(?<!\d)(\d\.?\d?)折", _discount),
    (rf"{_ALONE}({NUMBER})(%?){_TO}(?={NUMBER})", r"\1\2到"),
    (rf"(?<![\d.])2(?=到\d+(?:{_COUNTED}))", "两"),
    (r"(?<![\d.])\d{3,4}(?=\s?(?:房间|室|房)(?!间数))", _spell),
    (rf"{_SIGN}{_ALONE}(?P<n>{NUMBER})\s?%", _percent),
    (rf"{_SIGN}{_ALONE}(?P<n>{NUMBER})\s?‰", lambda found: f"千分之{_signed(found)}"),
    (rf"{_SIGN}{_ALONE}(?P<n>{NUMBER})\s?(?P<unit>{_UNIT})(?![A-Za-z\d/])", _unit),
    (
        rf"(?P<sign>(?<![A-Za-z\d)\]])[-−])(?P<n>{NUMBER})(?=\s?[度])",
        lambda found: _signed(found, "零下"),
    ),
    (r"(?<![\d/])(\d{1,3})/(\d{1,3})(?![\d/])", _fraction),
    (rf"(?<![\w.第])2(?=\s?(?:{_COUNTED}))(?!号|月|日|楼)", "两"),
    (r"[vV]?(\d+(?:\.\d+){2,})", lambda found: "点".join(map(cardinal, found[1].split(".")))),
    (rf"(?<![A-Za-z\d.])({NUMBER})\s?([Ww])(?![A-Za-z])", lambda found: cardinal(found[1]) + "万"),
    (r"(?<=\d)\s?[×xX*]\s?(?=\d)", "乘"),
    (r"(?<=\d)\s?\+\s?(?=\d)", "加"),
    (r"(?<=\d)\s?÷\s?(?=\d)", "除以"),
    (r"(?<=\d)\s-\s(?=\d)", "减"),
    (rf"(?<=[A-Za-z\d{HAN}])\s?=\s?(?=[A-Za-z\d{HAN}-])", "等于"),
    (r"(?<=[A-Za-z])-(?=\d)", " "),
    (r"(?<=[A-Za-z])\s?&\s?(?=[A-Za-z])", " and "),
    (rf"(?<=[{HAN}])\s?[&/]\s?(?=[{HAN}])", "、"),
    (rf"{_SIGN}(?P<n>{NUMBER})", _bare),
    (r"%", "百分号"),
    (r"(?<=[A-Za-z])\+\+", "加加"),
    (r"(?<=\w)\+", "加"),
    (r"℃|°C", "摄氏度"),
    (r"№\s?", "号"),
    (r"(?<=[A-Za-z])♯", " sharp"),
    (r"\s?＞\s?", "大于"),
    (r"\s?＜\s?", "小于"),
    (r"\s?≥\s?", "大于等于"),
    (r"\s?≤\s?", "小于等于"),
    (r"\s?±\s?", "正负"),
    (r"\s?≈\s?", "约等于"),
    (r"\s?→\s?", "到"),
)
"""In this order: each leaves no digits for those behind it to misread."""

_RULES = tuple((re.compile(pattern, re.ASCII), words) for pattern, words in _PATTERNS)
