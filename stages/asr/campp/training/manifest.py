"""Manifests: what was said in which file. All that is wrong is found before any hour is spent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from stages.asr.campp.training import text as text_
from stages.errors import UserError

SHOWN = 20
"""Faults listed in full; the rest is counted."""

LONGEST = 60.0
"""Seconds of a clip; a longer one is a mistake, or wants cutting."""

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
    duration: float  # seconds, 0.0 if the manifest has none


def read(file: Path, groups: Iterable[str] = ()) -> list[Clip]:
    """Read a manifest: JSON lines with ``path``, ``text``, and perhaps ``set``, ``speaker``.

    Paths start at the manifest's folder, or at the one above it.

    Args:
        file: the manifest.
        groups: only lines whose ``set`` is among them; nothing is all.

    Raises:
        BadInput: no such file, a line that is no clip, a missing or empty sound file, an empty
            text, characters outside the tokens, a clip that is too long; all of them at once.
    """
    wanted, faults, clips = set(groups), [], []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(str(file), [f"it cannot be read ({error})"]) from error
    seen = set()
    for number, line in enumerate(lines, 1):
        entry = _entry(line)
        if entry is None:
            faults.append(f"line {number} is no JSON object with the texts path and text")
            continue
        seen.add(str(entry.get("set", "")))
        if wanted and str(entry.get("set", "")) not in wanted:
            continue
        clip = _clip(file.parent, entry)
        faults += [f"line {number}: {clip.key} {fault}" for fault in _faults(clip)]
        clips.append(clip)
    faults += [f"no line is of the set {name!r}" for name in sorted(wanted - seen)]
    if not clips and not faults:
        faults.append("it holds no clips")
    if faults:
        raise BadInput(str(file), faults)
    return clips


def held_back(clip: Clip, by: HoldBy, share: float) -> bool:
    """Tell whether a clip is kept for evaluation: always the same ones, whatever else there is."""
    key = {"speaker": clip.speaker or clip.key, "text": clip.text, "path": clip.key}[by]
    digest = hashlib.sha256(f"{clip.group}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        return None
    return entry if isinstance(entry.get("text"), str) else None


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
        duration=float(entry.get("duration") or 0.0),
    )


def _faults(clip: Clip) -> list[str]:
    faults = []
    if not clip.file.is_file():
        faults.append("is missing")
    elif clip.file.stat().st_size == 0:
        faults.append("is an empty file")
    if not clip.text:
        faults.append("has no text")
    strange = text_.foreign(clip.text)
    if strange:
        faults.append(f"has characters that are no tokens: {strange!r}")
    if clip.duration > LONGEST:
        faults.append(f"lasts {clip.duration:.0f} s, more than {LONGEST:.0f} s")
    return faults
