"""Listening: from settings to a server that runs until it is cancelled."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import anyio
from aiohttp import web

from agent.errors import NotPossible
from agent.profile import Entry
from agent.resources import folder
from agent.server.api import LARGEST, Api, Picker
from agent.server.contract import Calls, ServeSettings
from agent.server.desk import DeskRoutes
from agent.server.guard import Guard, dress, sentences

CLOSE_S = 2.0
"""Seconds for requests under way to end when the server stops."""


class Routes(Protocol):
    """A part of what is served."""

    def routes(self) -> list[web.RouteDef]:
        """Return its routes and their handlers."""


async def serve(
    settings: ServeSettings,
    calls: Calls,
    profiles: Callable[[], Sequence[Entry]],
    *,
    started: Callable[[str], None],
    more: Sequence[Routes] = (),
) -> None:
    """Serve the page and the API until cancelled; cancelling closes every connection.

    Args:
        settings: where, and for whom.
        calls: makes the calls.
        profiles: lists the characters; asked in a thread, again and again.
        started: told the address of the page once it can be reached.
        more: what else is served: ``Figures``, ``VoiceRoutes``, ``MemoryRoutes``.

    Raises:
        NotPossible: the address or port cannot be had, or a token is lacking.
    """
    settings.check()
    async with _running(_application(settings, calls, profiles, more)) as runner:
        await _listen(runner, settings)
        started(_address(runner, settings))
        await anyio.sleep_forever()


def _application(
    settings: ServeSettings,
    calls: Calls,
    profiles: Callable[[], Sequence[Entry]],
    more: Sequence[Routes],
) -> web.Application:
    guard = Guard(settings)
    api = Api(settings, calls, Picker(profiles, settings.default_profile), guard)
    app = web.Application(middlewares=[sentences, guard.check], client_max_size=LARGEST)
    app.on_response_prepare.append(dress)
    for part in more:
        app.add_routes(part.routes())
    app.add_routes([*DeskRoutes(calls).routes(), *api.routes()])
    app.router.add_get("/", _index)
    app.router.add_static("/", folder("web"))
    return app


async def _index(request: web.Request) -> web.FileResponse:
    return web.FileResponse(folder("web") / "index.html")


@asynccontextmanager
async def _running(app: web.Application) -> AsyncIterator[web.AppRunner]:
    """Own the tasks that aiohttp starts: none outlives the block."""
    runner = web.AppRunner(
        app, handle_signals=False, access_log=None, shutdown_timeout=CLOSE_S, keepalive_timeout=30
    )
    await runner.setup()
    try:
        yield runner
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(2 * CLOSE_S):
            await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: ServeSettings) -> None:
    place = f"port {settings.port} of {settings.host}"
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = f"{place} is in use; stop what uses it, or choose another with --port."
        elif error.errno == errno.EACCES:
            reason = f"{place} is not for every user; choose one above 1023 with --port."
        elif isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            reason = f"{settings.host} is no address of this machine; see --host."
        else:
            reason = f"{place} cannot be listened to: {error.strerror or error}."
        raise NotPossible(f"Cannot serve: {reason}") from error


def _address(runner: web.AppRunner, settings: ServeSettings) -> str:
    port = runner.addresses[0][1]
    host = socket.gethostname() if settings.host in ("0.0.0.0", "::") else settings.host
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
