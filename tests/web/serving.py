"""The agent as users start it, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.streams.text import TextReceiveStream


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
        assert server.stdout is not None
        said = ""
        with anyio.fail_after(60):
            async for text in TextReceiveStream(server.stdout):
                said += text
                if found := re.search(r"http://\S+", said):
                    break
            else:
                raise AssertionError(f"it did not start; it said {said!r}")
        try:
            yield found[0], server
        finally:
            if server.returncode is None:
                server.send_signal(signal.SIGTERM)
