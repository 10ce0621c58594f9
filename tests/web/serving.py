"""The agent as users start it, in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from tests.servers.programs import said


@asynccontextmanager
async def served(
    state: Path, profile: str = "bare", *more: str, **variables: str
) -> AsyncIterator[tuple[str, anyio.abc.Process]]:
    """Run ``firstword serve`` on a free port with a state folder of its own.

    ``more`` arguments and environment ``variables`` go to it as they are.

    It stops on SIGTERM, so what it says at its end is said before the block is left.
    """
    command = [sys.executable, "-m", "agent", "serve", "--port", "0", "--profile", profile, *more]
    environment = {**os.environ, "XDG_STATE_HOME": str(state), **variables}
    async with await anyio.open_process(command, env=environment) as server:
        address = (await said(server, r"(http://\S+)\s"))[1]
        try:
            yield address, server
        finally:
            if server.returncode is None:
                server.send_signal(signal.SIGTERM)
