"""``firstword broker``: an MQTT broker for those who have none."""

from __future__ import annotations

import argparse
import os
import signal

import anyio
from pydantic import SecretStr

from agent.commands.said import say
from agent.errors import NotPossible
from agent.mqtt.settings import VARIABLES
from agent.server.contract import is_loopback


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s, this machine alone)",
    )
    parser.add_argument(
        "--port", type=int, default=1883, help="port to listen on (default: %(default)s)"
    )
    parser.epilog = (
        f"Set {' and '.join(VARIABLES)} to let in only who knows them; to listen beyond this"
        " machine they must be set. It speaks no TLS and keeps nothing on disk: mosquitto does"
        " both."
    )


def run(options: argparse.Namespace) -> int:
    """Serve until a signal comes; 0 then.

    Raises:
        NotPossible: the address cannot be had, or the network would be let in without a password.
    """
    if not 1 <= options.port <= 65535:
        raise NotPossible(f"--port must be between 1 and 65535, not {options.port}.")
    user, password = (os.environ.get(variable) or None for variable in VARIABLES)
    if not is_loopback(options.host) and not (user and password):
        raise NotPossible(
            f"{options.host} can be reached from other machines, so set {VARIABLES[0]} and"
            f" {VARIABLES[1]}, or listen on 127.0.0.1."
        )
    anyio.run(_serve, options.host, options.port, user, password)
    return 0


async def _serve(host: str, port: int, user: str | None, password: str | None) -> None:
    from agent.mqtt.broker import open_broker  # amqtt: an extra

    secret = SecretStr(password) if password else None
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with open_broker(host, port, user, secret):
            say(f"The broker answers at mqtt://{host}:{port} (Ctrl-C stops it)")
            await anext(signals)
