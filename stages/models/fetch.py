"""Brings one file over HTTP into a part file: resumable, hashed, with patience for bad networks."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio
import httpx
from anyio import to_thread

TRIES = 4
"""Attempts in a row that bring next to nothing before a download is given up."""

NEXT_TO_NOTHING = 1 << 14  # bytes

SILENCE = 30.0
"""Seconds without a byte after which the other side counts as gone."""


class WrongFile(Exception):
    """What came is not the file that the catalogue describes."""


@dataclass(frozen=True, slots=True)
class Download:
    """One file to bring.

    Attributes:
        url: where it is to be had.
        part: where it grows until it is whole.
        size: in bytes.
        sha256: hexadecimal; empty where only ``git`` is known.
        git: what git calls a file of this content (SHA-1 of a header and the content).
        by: who says so, for sentences.
    """

    url: str
    part: Path
    size: int
    sha256: str
    git: str = ""
    by: str = "the catalogue"


def client(certificates: str | None = None, silence: float = SILENCE) -> httpx.AsyncClient:
    """Return an HTTP client.

    Args:
        certificates: a bundle to trust instead of the usual one.
        silence: seconds without a byte after which the other side counts as gone.
    """
    verify = ssl.create_default_context(cafile=certificates) if certificates else True
    return httpx.AsyncClient(follow_redirects=True, timeout=silence, verify=verify)


async def fetch(http: httpx.AsyncClient, wanted: Download, told: Callable[[int], None]) -> None:
    """Bring the rest of a file; ``told`` hears how many bytes there are.

    Cancelling, and any failure but a wrong hash, keeps the part for the next time.

    Raises:
        httpx.HTTPError: the other side cannot be reached, refuses, or keeps breaking off.
        OSError: the part cannot be written.
        WrongFile: it came whole and is another file; the part is gone.
    """
    idle = 0
    while (have := await to_thread.run_sync(_size, wanted.part)) < wanted.size:
        try:
            await _stream(http, wanted, have, told)
        except httpx.TransportError:
            came = await to_thread.run_sync(_size, wanted.part) - have
            idle = 0 if came > NEXT_TO_NOTHING else idle + 1
            if idle >= TRIES:
                raise
            await anyio.sleep(0.5 * idle)
    if not await to_thread.run_sync(_is, wanted):
        await to_thread.run_sync(wanted.part.unlink)
        raise WrongFile(f"{wanted.url} is not the file that {wanted.by} knows")


async def _stream(
    http: httpx.AsyncClient, wanted: Download, have: int, told: Callable[[int], None]
) -> None:
    headers = {"Range": f"bytes={have}-"} if have else {}
    headers["Accept-Encoding"] = "identity"  # a packed body would not fit the range
    async with http.stream("GET", wanted.url, headers=headers) as answer:
        answer.raise_for_status()
        resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status_code != httpx.codes.PARTIAL_CONTENT or not resumed:
            have = 0  # the server starts over, so do we
        file = await to_thread.run_sync(_open, wanted.part, have)
        try:
            async for piece in answer.aiter_raw():
                await to_thread.run_sync(file.write, piece)
                have += len(piece)
                if have > wanted.size:
                    break
                told(have)
        finally:
            with anyio.CancelScope(shield=True):  # local and short: what came must be kept
                await to_thread.run_sync(file.close)
    if have > wanted.size:
        await to_thread.run_sync(wanted.part.unlink)
        raise WrongFile(f"{wanted.url} is larger than {wanted.by} says")
    if have < wanted.size:
        raise httpx.RemoteProtocolError(f"{wanted.url} ended after {have} bytes")


def _open(part: Path, have: int) -> BinaryIO:
    part.parent.mkdir(parents=True, exist_ok=True)
    return part.open("ab" if have else "wb", buffering=0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is(wanted: Download) -> bool:
    if wanted.sha256:
        return sha256_of(wanted.part) == wanted.sha256
    return git_id_of(wanted.part) == wanted.git


def git_id_of(path: Path) -> str:
    """Return what git calls a file of this content, hexadecimal; for small files."""
    content = path.read_bytes()
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
