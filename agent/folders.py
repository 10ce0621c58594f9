"""Folders that are made where they are needed."""

from __future__ import annotations

import os
from errno import ENOTDIR
from pathlib import Path


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it; one that is there stays as it is.

    Raises:
        OSError: it cannot be made; ``NotADirectoryError`` also where a file has its name, of
            which the system says no more than that it exists.
    """
    try:
        folder.mkdir(mode, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(folder)) from error
