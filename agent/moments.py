"""Times as people type them after ``--since``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from agent.errors import NotPossible

_AGO = re.compile(r"(\d{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str) -> datetime:
    """Return the time that ``30m``, ``2h``, ``7d`` (ago) or an ISO date and time means.

    Raises:
        NotPossible: it is no time.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise NotPossible(
            f"{text!r} is no time; write 30m, 2h, 7d, or a date such as 2026-01-31T10:00."
        ) from None
