"""Other programs: where they are, and how a test waits until they say that they are ready."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from tests.conftest import missing

SAYS_S = 60.0
"""How long a program may take to say that it is ready, on a machine that is busy."""


def program(name: str, package: str = "") -> str:
    """Return where a program of Debian's is; without it the test is skipped."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        missing(f"{name} is not here; get it with: apt-get install {package or name}")
    return str(found)


def free_port() -> int:
    """Return a port of 127.0.0.1 at which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def started(command: Sequence[str]) -> Process:
    """Start a program that says on one stream, ``stdout``, all that it has to say."""
    return await anyio.open_process(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


async def said(process: Process, pattern: str) -> re.Match[str]:
    """Wait until what a program says on ``stdout`` matches, and return the match.

    What it says later waits in the pipe: this is for programs that then say little.

    Raises:
        AssertionError: it ended, and never said so.
        TimeoutError: it did not say so within ``SAYS_S``.
    """
    assert process.stdout is not None
    text = ""
    with anyio.fail_after(SAYS_S):
        async for piece in TextReceiveStream(process.stdout):
            text += piece
            if found := re.search(pattern, text):
                return found
    raise AssertionError(f"it ended without {pattern!r}; it said {text!r}")


@asynccontextmanager
async def running(command: Sequence[str], pattern: str) -> AsyncIterator[re.Match[str]]:
    """Run a program from when it says what matches, until the block ends; then kill it."""
    async with await started(command) as process:
        try:
            yield await said(process, pattern)
        finally:
            if process.returncode is None:
                process.kill()
