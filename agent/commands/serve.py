"""``firstword serve``: the page, and the calls that it makes."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import anyio
from pydantic import SecretStr, ValidationError

from agent.calls import open_calls
from agent.commands import models
from agent.engines import models_of
from agent.errors import NotPossible
from agent.profile import Profile, default_id, load, load_all
from agent.server import Calls, ServeSettings, serve
from agent.webrtc import IceServer, IceSettings
from stages.errors import FirstWordError
from stages.models import ModelStore

DRAIN_S = 10.0
"""Seconds for running replies and calls to end after the first signal."""

AT_ONCE = 130
"""Exit code when a second signal ended the wait."""

_PRIVATE = ("FIRSTWORD_TURN_USERNAME", "FIRSTWORD_TURN_CREDENTIAL")


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8700, help="port of the page (%(default)s)")
    parser.add_argument(
        "--token", help="what callers must know; better: the variable FIRSTWORD_TOKEN"
    )
    parser.add_argument("--max-calls", type=int, default=8, help="at a time (%(default)s)")
    parser.add_argument("--profile", default=default_id(), help="chosen at first (%(default)s)")
    add_ice(parser)


def add_ice(parser: argparse.ArgumentParser) -> None:
    """Describe how media finds its way; nothing is needed on one machine or one network."""
    parser.add_argument("--stun", metavar="HOST:PORT", help="a STUN server")
    parser.add_argument(
        "--turn",
        metavar="HOST:PORT",
        help="a TURN server; name and secret come from " + " and ".join(_PRIVATE),
    )
    parser.add_argument("--udp-ports", metavar="A-B", help="UDP ports of the media, first and last")


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes; 0 once everything has ended.

    Raises:
        NotPossible: the address cannot be had, or an argument is wrong.
        ProfileError: the chosen profile is wrong.
    """
    ice = ice_settings(options)
    settings = serve_settings(options, ice)
    settings.check()
    profile = load(options.profile)
    _pull(profile)
    try:
        return anyio.run(
            _serve, options, settings, ice, profile, backend_options={"use_uvloop": True}
        )
    except BaseExceptionGroup as group:
        error = _lone(group)
        if error is None:
            raise
        raise error from group


def serve_settings(options: argparse.Namespace, ice: IceSettings) -> ServeSettings:
    """Read where to listen from the arguments and the environment.

    Raises:
        NotPossible: a number is out of range.
    """
    if not 0 <= options.port <= 65535:
        raise NotPossible(f"--port must be between 0 and 65535, not {options.port}.")
    if options.max_calls < 1:
        raise NotPossible(f"--max-calls must be at least 1, not {options.max_calls}.")
    token = options.token or os.environ.get("FIRSTWORD_TOKEN") or None
    return ServeSettings(
        host=options.host,
        port=options.port,
        token=SecretStr(token) if token else None,
        default_profile=options.profile,
        ice_servers=tuple(_for_page(server) for server in ice.servers),
    )


def ice_settings(options: argparse.Namespace) -> IceSettings:
    """Read the way of the media from the arguments and the environment.

    Raises:
        NotPossible: an address or a range of ports is wrong.
    """
    name, secret = (os.environ.get(variable) for variable in _PRIVATE)
    try:
        servers = [IceServer(url=f"stun:{options.stun}")] if options.stun else []
        if options.turn:
            credential = SecretStr(secret) if secret else None
            servers.append(
                IceServer(url=f"turn:{options.turn}", username=name, credential=credential)
            )
        return IceSettings(servers=tuple(servers), ports=_ports(options.udp_ports))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise NotPossible(first["msg"].removeprefix("Value error, ") + ".") from None


def _ports(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal()):
        raise NotPossible(f"--udp-ports wants a range like 50000-50100, not {text!r}.")
    return int(first), int(last)


def _for_page(server: IceServer) -> dict[str, Any]:
    shown: dict[str, Any] = {"urls": server.url}
    if server.username:
        shown["username"] = server.username
    if server.credential:
        shown["credential"] = server.credential.get_secret_value()
    return shown


async def _serve(
    options: argparse.Namespace, settings: ServeSettings, ice: IceSettings, profile: Profile
) -> int:
    async with open_calls(
        limit=options.max_calls, default_profile=options.profile, ice=ice
    ) as calls:
        await calls.warm(profile)
        return await until_signal(settings, calls)


async def until_signal(settings: ServeSettings, calls: Calls) -> int:
    """Serve until SIGINT or SIGTERM, then drain; a second signal stops at once.

    Returns:
        The exit code: 0, or 130 when a second signal came.

    Raises:
        ExceptionGroup: of what ``serve`` raises.
    """
    code = AT_ONCE
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(serve, settings, calls, load_all, started=_say))
            await anext(signals)
            tasks.start_soon(_cancel_at_next, signals, tasks.cancel_scope)
            await calls.drain(DRAIN_S)
            code = 0
            tasks.cancel_scope.cancel()
    return code


async def _cancel_at_next(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()


def _pull(profile: Profile) -> None:
    """Bring the models that a profile needs and that are not here, showing progress."""
    store = ModelStore()
    missing = [name for name in models_of(profile) if store.state(name) == "missing"]
    if missing:
        models.run(argparse.Namespace(verb="pull", names=missing, profile=None))


def _say(address: str) -> None:
    print(f"FirstWord answers at {address} (Ctrl-C stops it)", flush=True)  # noqa: T201


def _lone(group: BaseExceptionGroup[BaseException]) -> FirstWordError | None:
    """Return the error of ours that is all of a group, if it is."""
    ours, others = group.split(FirstWordError)
    while isinstance(ours, BaseExceptionGroup):
        ours = ours.exceptions[0]  # type: ignore[assignment]  # a group or, at last, the error
    return ours if others is None and isinstance(ours, FirstWordError) else None
