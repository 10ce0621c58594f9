"""The end of a server: the first signal drains it, the second stops it."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import anyio

from agent.errors import NotPossible
from agent.server.contract import Calls

DRAIN_S = 10.0
"""Seconds for running replies, then calls, to end after the first signal."""

_INPUT = 0  # standard input

AT_ONCE = 130
"""Exit code when a second signal ended the wait."""


async def until_signal(serving: Callable[[], Coroutine[Any, Any, None]], calls: Calls) -> int:
    """Serve until SIGINT or SIGTERM, then let calls end; a second signal stops at once.

    Args:
        serving: a coroutine function that serves until it is cancelled.
        calls: what is drained. The server still answers meanwhile, with refusals.

    Returns:
        The exit code: 0, or 130 when a second signal came.

    Raises:
        ExceptionGroup: of what ``serving`` raises.
    """
    code = AT_ONCE
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serving)
            await anext(signals)
            tasks.start_soon(_cancel_at_next, signals, tasks.cancel_scope)
            await calls.drain(DRAIN_S)
            code = 0
            tasks.cancel_scope.cancel()
    return code


async def _cancel_at_next(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()


def check_input() -> None:
    """See that the end of standard input can be waited for; a file or /dev/null has none to come.

    Raises:
        NotPossible: it is none that can.
    """
    try:
        mode = os.fstat(_INPUT).st_mode
    except OSError:  # it was closed
        mode = 0
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(_INPUT)):
        raise NotPossible(
            "--until-eof waits for the end of standard input, which must be a pipe or a terminal"
            " for that."
        )


async def end_with_input() -> None:
    """Take the end of standard input for a signal to stop: who started this server is gone."""
    while True:
        await anyio.wait_readable(_INPUT)
        if not os.read(_INPUT, 4096):
            os.kill(os.getpid(), signal.SIGTERM)
            return
