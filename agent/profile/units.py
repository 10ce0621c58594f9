"""Rate, volume and pitch as people write them."""

from __future__ import annotations

import re
from typing import Any

_PERCENT = re.compile(r"([+-]\d+(?:\.\d+)?)\s*%")
_HERTZ = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*[hH][zZ]")


def ratio(value: Any) -> Any:
    """Read ``+10%`` as 1.1; let numbers be.

    Raises:
        ValueError: it is text of another kind.
    """
    if not isinstance(value, str):
        return value
    match = _PERCENT.fullmatch(value.strip())
    if not match:
        raise ValueError(f"should be like +10% or 1.1, not {value!r}")
    return round(1 + float(match[1]) / 100, 6)


def hertz(value: Any) -> Any:
    """Read ``-5Hz`` as -5.0; let numbers be.

    Raises:
        ValueError: it is text of another kind.
    """
    if not isinstance(value, str):
        return value
    match = _HERTZ.fullmatch(value.strip())
    if not match:
        raise ValueError(f"should be like +5Hz or 5, not {value!r}")
    return float(match[1])
