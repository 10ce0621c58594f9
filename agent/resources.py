"""Where the page and the profiles lie: inside the wheel, or beside the source in a checkout."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def folder(name: str) -> Path:
    """Return the folder ``web`` or ``profiles`` that came with this FirstWord."""
    packed = _HERE / "data" / name
    return packed if packed.is_dir() else _HERE.parent / name
