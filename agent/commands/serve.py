"""``firstword serve``: the page, and the calls that it makes."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import Any

import anyio
from pydantic import SecretStr, ValidationError
from rich.console import Console

from agent.commands import models, mqtt
from agent.commands.said import say
from agent.engines import models_of
from agent.enrolment import Enrolment
from agent.errors import NotPossible
from agent.profile import Profile, default_id, load, load_all
from agent.report.page import fragment, style
from agent.report.select import from_store
from agent.server import (
    Figures,
    MemoryRoutes,
    Routes,
    ServeSettings,
    VoiceRoutes,
    check_input,
    end_with_input,
    serve,
    until_signal,
)
from agent.settled import settle
from agent.webrtc import IceServer, IceSettings
from stages.models import ModelStore

_PRIVATE = ("FIRSTWORD_TURN_USERNAME", "FIRSTWORD_TURN_CREDENTIAL")


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, this machine alone)",
    )
    parser.add_argument(
        "--port", type=int, default=8700, help="port of the page (default: %(default)s)"
    )
    parser.add_argument(
        "--token",
        help="a secret that callers must know, needed beyond this machine; better in the variable"
        " FIRSTWORD_TOKEN",
    )
    parser.add_argument(
        "--max-calls", type=int, default=8, metavar="N", help="calls at once (default: %(default)s)"
    )
    parser.add_argument(
        "--profile",
        default=default_id(),
        metavar="ID",
        help="the character that the page offers first (default: %(default)s)",
    )
    parser.add_argument(
        "--until-eof", action="store_true", help="stop when standard input ends, too"
    )
    add_ice(parser)
    mqtt.add(parser)


def add_ice(parser: argparse.ArgumentParser) -> None:
    """Describe how media finds its way; nothing is needed on one machine or one network."""
    parser.add_argument("--stun", metavar="HOST:PORT", help="a STUN server, for callers elsewhere")
    parser.add_argument(
        "--turn",
        metavar="HOST:PORT",
        help="a TURN server, where STUN does not do; name and secret come from "
        + " and ".join(_PRIVATE),
    )
    parser.add_argument("--udp-ports", metavar="A-B", help="UDP ports of the media (default: any)")


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes; 0 once everything has ended.

    Raises:
        NotPossible: the address cannot be had, or an argument is wrong.
        ProfileError: the chosen profile is wrong.
    """
    ice = ice_settings(options)
    settings = serve_settings(options, ice)
    settings.check()
    if options.until_eof:
        check_input()
    mqtt.settings(options)
    profile = load(options.profile)
    models.bring_missing(ModelStore(), models_of(profile), Console(stderr=True))
    return anyio.run(_serve, options, settings, ice, profile, backend_options={"use_uvloop": True})


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
    from agent.calls import open_calls  # aiortc and all stages: only when all else is right

    async with open_calls(
        limit=options.max_calls, default_profile=options.profile, ice=ice
    ) as calls:
        await calls.warm(profile)
        settle()
        more: list[Routes] = [
            Figures(calls.metrics.text, _report, style()),
            VoiceRoutes(settings, Enrolment(calls.engines, profile)),
        ]
        if calls.memories is not None:
            more.append(MemoryRoutes(settings, calls.memories))
        serving = partial(serve, settings, calls, load_all, started=_say, more=more)
        async with mqtt.telling(options, calls), anyio.create_task_group() as tasks:
            if options.until_eof:
                tasks.start_soon(end_with_input)
            code = await until_signal(serving, calls)
            tasks.cancel_scope.cancel()
    return code


def _report(conditions: dict[str, str]) -> str:
    return fragment(from_store(conditions))


def _say(address: str) -> None:
    say(f"FirstWord answers at {address} (Ctrl-C stops it)")
