"""An agent in a process of its own, for commands that call it: caller and agent share no loop."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process

from agent.errors import NotPossible

START_S = 120.0
"""How long the server may take to load its models on a busy machine."""
STOP_S = 15.0
"""How long it may take to end, before it is killed."""


@asynccontextmanager
async def own_agent(
    profile: str, more: Sequence[str] = (), state: Path | None = None
) -> AsyncIterator[str]:
    """Serve a profile on a free loopback port and give the address; it ends with the block.

    It ends with this process, too, however that ends: its standard input does.

    Args:
        profile: the character's id.
        more: further arguments of ``firstword serve``.
        state: where it keeps its turns; none: with the user's own.

    Raises:
        NotPossible: the server did not start.
    """
    command = [sys.executable, "-m", "agent", "serve", "--port", "0", "--until-eof"]
    command += ["--profile", profile, *more]
    environment = dict(os.environ) | ({"FIRSTWORD_STATE": str(state)} if state else {})
    async with await anyio.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=None, env=environment
    ) as process:
        try:
            yield await _address(process)
        finally:
            await _end(process)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    with anyio.move_on_after(STOP_S, shield=True) as patience:
        await process.wait()
    if patience.cancelled_caught:
        process.kill()


async def _address(process: Process) -> str:
    """Return the address that the server prints once it can be called."""
    assert process.stdout is not None
    printed = b""
    with anyio.move_on_after(START_S):
        async for piece in process.stdout:
            printed += piece
            for word in printed.decode().split():
                if word.startswith("http://") and printed.endswith(b"\n"):
                    return word
    raise NotPossible("The server did not start; `firstword serve --debug` shows why.")
