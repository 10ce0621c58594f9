"""Which turns a report is about: some of the store, or those in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.errors import NotPossible
from agent.moments import moment
from agent.timeline import TurnRecord
from agent.trace import read, unreadable

MOST = 10_000
"""Turns of a report, at most: the latest."""

KEYS = ("profile", "since", "until", "call")
_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Selection:
    """Turns, oldest first, and what to call them."""

    name: str
    records: tuple[TurnRecord, ...] = field(repr=False)


def select(wanted: str, database: Path | None = None) -> Selection:
    """Return the turns that were asked for.

    Args:
        wanted: a file (what ``turns --json``, ``report --json``, ``bench latency --json`` or
            ``call --json`` printed, or a store); or conditions on the store, as in
            ``profile=quick,since=2h``; or just a profile's id; empty: all.
        database: the store; none: the user's own.

    Raises:
        NotPossible: no such file, nothing readable in it, or a condition that is none.
    """
    path = Path(wanted)
    if wanted and path.is_file():
        return _from_file(path)
    if "/" in wanted or wanted.endswith((".json", ".sqlite")):
        raise NotPossible(f"There is no file {wanted!r}.")
    return from_store(_conditions(wanted), database)


def from_store(conditions: dict[str, str], database: Path | None = None) -> Selection:
    """Return the turns of the store under conditions, by the names in ``KEYS``.

    Raises:
        NotPossible: a condition that is none, or a store that cannot be read.
    """
    for key in conditions:
        if key not in KEYS:
            raise NotPossible(f"{key!r} cannot be asked for; there are: {', '.join(KEYS)}.")
    since, until = (
        moment(conditions[key]) if conditions.get(key) else None for key in ("since", "until")
    )
    found = read(
        database,
        since=since,
        profile=conditions.get("profile") or None,
        call=conditions.get("call") or None,
        limit=MOST,
    )
    if until is not None:
        found = [record for record in found if _before(record, until)]
    name = ", ".join(
        value if key == "profile" else f"{key} {value}"
        for key, value in conditions.items()
        if value
    )
    return Selection(name or "all turns", tuple(found))


def without_words(selection: Selection) -> Selection:
    """Return the same turns without what was said, for reports that are passed on."""
    said = {"user_text": "", "reply_text": "", "heard_text": ""}
    silent = tuple(replace(record, **said) for record in selection.records)  # type: ignore[arg-type]
    return Selection(selection.name, silent)


def _conditions(wanted: str) -> dict[str, str]:
    if wanted and "=" not in wanted:
        return {"profile": wanted}
    conditions = {}
    for part in filter(None, wanted.split(",")):
        key, _, value = part.partition("=")
        conditions[key.strip()] = value.strip()
    return conditions


def _before(record: TurnRecord, until: datetime) -> bool:
    try:
        return datetime.fromisoformat(record.started_at).astimezone() < until
    except ValueError:
        return False


def _from_file(path: Path) -> Selection:
    try:
        with path.open("rb") as file:
            if file.read(len(_SQLITE)) == _SQLITE:
                return Selection(path.stem, tuple(read(path, limit=MOST)))
        shown = json.loads(path.read_text(encoding="utf-8"))
        records = tuple(TurnRecord.from_dict(each) for each in _records(shown))
    except (OSError, ValueError, RecursionError) as error:
        reason = unreadable(error)
        raise NotPossible(f"{path} holds no turns that can be read: {reason}.") from error
    if not records:
        raise NotPossible(f"{path} holds no turns.")
    return Selection(path.stem, tuple(sorted(records, key=lambda record: record.started_at)))


def _records(shown: Any) -> Iterator[dict[str, Any]]:
    """Find the records in what our commands print."""
    if isinstance(shown, dict):
        shown = shown.get("records", shown.get("turns", []))
    for each in shown if isinstance(shown, list) else []:
        if isinstance(each, dict):
            found = each.get("timeline", each)
            if isinstance(found, dict):
                yield found
