"""Folders that are made where they are needed."""

from __future__ import annotations

import os
import tempfile
from errno import ENOTDIR
from pathlib import Path

from agent.errors import NotPossible


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; one that is there stays as it is.

    Raises:
        OSError: it cannot be made; ``NotADirectoryError`` also where a file has its name, of
            which the system says no more than that it exists.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(folder)) from error


def make_writable(folder: Path) -> None:
    """Make the folder that ``--out`` names, and see that something can be written to it.

    Raises:
        NotPossible: it cannot.
    """
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise NotPossible(
            f"Nothing can be written to {folder}: {error.strerror}; choose another with --out."
        ) from error
