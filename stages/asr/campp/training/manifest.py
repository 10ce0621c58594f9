"""Manifests: what was said in which file. All that is wrong is found before any hour is spent."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from stages.asr.campp.training import sound
from stages.asr.campp.training import text as text_
from stages.errors import UserError

SHOWN = 20
"""Faults listed in full; the rest is counted."""

LONGEST = 60.0
"""Seconds of a clip to train on; a longer one is a mistake, or wants cutting."""

HoldBy: TypeAlias = Literal["speaker", "text", "path"]


class BadInput(UserError):
    """What training was given cannot be used; every fault is listed."""

    def __init__(self, what: str, faults: list[str]) -> None:
        self.what, self.faults = what, tuple(faults)
        lines = [f"  - {fault}" for fault in faults[:SHOWN]]
        if len(faults) > SHOWN:
            lines.append(f"  - and {len(faults) - SHOWN} more")
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__("\n".join([f"{what} cannot be used: {count}.", *lines]))


@dataclass(frozen=True, slots=True)
class Clip:
    """One line of a manifest: a sound file and its words."""

    file: Path
    key: str  # path as in the manifest: what a clip is known by
    group: str  # field "set"
    text: str
    speaker: str
    duration: float  # seconds, 0.0 if the manifest has none and the file was not opened


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines of a manifest are read, and how closely they are looked at.

    ``opened``: every sound file is opened, none is decoded. ``scoring``: lines whose words are
    unknown or not certain are left out, and a clip may be long.
    """

    groups: frozenset[str] = frozenset()  # of field "set"; nothing is all
    opened: bool = False
    scoring: bool = False
    letters: frozenset[str] = text_.LETTERS  # that a text may have


@dataclass(slots=True)
class Found:
    """What a manifest holds, and what is wrong with it."""

    clips: list[Clip] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    groups: set[str] = field(default_factory=set)  # of all lines, wanted or not


def read(file: Path, groups: Iterable[str] = (), *, opened: bool = False) -> list[Clip]:
    """Read a manifest: JSON lines with ``path``, ``text``, and perhaps ``set``, ``speaker``.

    Paths start at the manifest's folder, or at the one above it.

    Args:
        file: the manifest.
        groups: only lines whose ``set`` is among them; nothing is all.
        opened: open every sound file too: durations are then those that the files tell.

    Raises:
        BadInput: no such file, a line that is no clip, a missing or empty sound file, an empty
            text, characters outside the tokens, a clip that is too long; with ``opened`` also
            what is no sound or has too low a rate. All of them at once.
    """
    wanted = Wanted(frozenset(groups), opened)
    found = looked_through(file, wanted)
    missing = sorted(wanted.groups - found.groups)
    faults = [*found.faults, *(f"no line is of the set {name!r}" for name in missing)]
    if not found.clips and not faults:
        faults.append("it holds no clips")
    if faults:
        raise BadInput(str(file), faults)
    return found.clips


def looked_through(file: Path, wanted: Wanted) -> Found:
    """Read the wanted lines of a manifest, and tell all that is wrong with them.

    Raises:
        BadInput: no such file, or it is no text.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(file), [f"it cannot be read ({error})"]) from error
    found = Found()
    for number, line in enumerate(lines, 1):
        entry = _entry(line, wanted.scoring)
        if entry is None:
            found.faults.append(f"line {number} is no JSON object with the texts path and text")
            continue
        group = str(entry.get("set", ""))
        found.groups.add(group)
        if wanted.groups and group not in wanted.groups:
            continue
        if wanted.scoring and (not entry.get("text") or entry.get("use_for_scoring") is False):
            continue
        clip, faults = _looked_at(_clip(file.parent, entry), entry.get("duration"), wanted)
        found.faults += [f"line {number}: {clip.key} {fault}" for fault in faults]
        found.clips.append(clip)
    return found


def held_back(clip: Clip, by: HoldBy, share: float) -> bool:
    """Tell whether a clip is kept for evaluation: always the same ones, whatever else there is."""
    key = {"speaker": clip.speaker or clip.key, "text": clip.text, "path": clip.key}[by]
    digest = hashlib.sha256(f"{clip.group}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _entry(line: str, scoring: bool) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        return None
    text = entry.get("text")
    return entry if isinstance(text, str) or (scoring and text is None) else None


def _clip(folder: Path, entry: dict[str, Any]) -> Clip:
    file = folder / entry["path"]
    if not file.exists() and (folder.parent / entry["path"]).exists():
        file = folder.parent / entry["path"]
    return Clip(
        file=file,
        key=entry["path"],
        group=str(entry.get("set", "")),
        text=text_.normalised(entry["text"]),
        speaker=str(entry.get("speaker") or ""),
        duration=_seconds(entry.get("duration")),
    )


def _seconds(told: Any) -> float:
    """Return what a manifest tells as a duration; what is none is NaN."""
    try:
        seconds = float(told or 0.0)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return seconds if 0 <= seconds < math.inf else math.nan


def _looked_at(clip: Clip, told: Any, wanted: Wanted) -> tuple[Clip, list[str]]:
    """Return a clip, now as long as its file is if that was opened, and all that is wrong."""
    faults = []
    if math.isnan(clip.duration):
        faults.append(f"has a duration that is no number of seconds: {told!r}")
    if not clip.file.is_file():
        faults.append("is missing")
    elif clip.file.stat().st_size == 0:
        faults.append("is an empty file")
    elif wanted.opened:
        try:
            clip = replace(clip, duration=sound.seconds(clip.file))
        except sound.BadSound as error:
            faults.append(f"cannot be used: {error.reason}")
    if not clip.text:
        faults.append("has no text")
    strange = text_.foreign(clip.text, wanted.letters)
    if strange:
        faults.append(f"has characters that are no tokens: {strange!r}")
    if clip.duration > LONGEST and not wanted.scoring:
        faults.append(f"lasts {clip.duration:.0f} s, more than {LONGEST:.0f} s")
    return clip, faults
