"""Whether the disks have room for what a training writes: asked before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Need:
    """What will be written into a folder, which need not be there yet."""

    what: str
    folder: Path
    size: float  # bytes


def faults(needs: Sequence[Need]) -> list[str]:
    """Return a sentence for every disk that is too full for all that will be written to it."""
    by_disk: dict[int, list[Need]] = {}
    for need in needs:
        if need.size > 0:
            by_disk.setdefault(_standing(need.folder).stat().st_dev, []).append(need)
    return [fault for fault in map(_fault, by_disk.values()) if fault]


def _fault(needs: Sequence[Need]) -> str:
    free = shutil.disk_usage(_standing(needs[0].folder)).free
    if sum(need.size for need in needs) <= free:
        return ""
    parts = " and ".join(f"{need.size / 1e9:.1f} GB of {need.what}" for need in needs)
    return f"{needs[0].folder} is to hold {parts}, and its disk has {free / 1e9:.1f} GB free"


def _standing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there already."""
    whole = folder.absolute()
    return next(place for place in (whole, *whole.parents) if place.exists())
