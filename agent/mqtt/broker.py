"""A broker for those who have none: amqtt, in our own process. It keeps nothing on disk."""

from __future__ import annotations

import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from pydantic import SecretStr

from agent.errors import NotPossible

MOST_CLIENTS = 100
"""Connections at most; a client beyond that waits for its turn."""
STOP_S = 5.0
"""How long its clients may take to be let go."""

try:
    from amqtt.broker import Broker
    from amqtt.errors import AMQTTError, BrokerError
    from amqtt.plugins.base import BaseAuthPlugin
    from amqtt.session import Session
except ImportError as error:
    raise NotPossible(
        f"The broker needs a package that is not installed ({error.name});"
        " install it with: pip install 'firstword[broker]'"
    ) from error


class OneUser(BaseAuthPlugin):  # type: ignore[misc]  # amqtt has no types
    """Lets in the one user there is; nobody else, and nobody without a name."""

    @dataclass
    class Config:
        """The user; shown nowhere."""

        user: str = field(default="", repr=False)
        password: str = field(default="", repr=False)

    async def authenticate(self, *, session: Session) -> bool:
        """Compare name and password, in a time that tells nothing about them."""
        wanted = (self._get_config_option("user", ""), self._get_config_option("password", ""))
        shown = (session.username or "", session.password or "")
        same = [
            hmac.compare_digest(one.encode(), other.encode())
            for one, other in zip(wanted, shown, strict=True)
        ]
        return all(same)


@asynccontextmanager
async def open_broker(
    host: str, port: int, user: str | None = None, password: SecretStr | None = None
) -> AsyncIterator[None]:
    """Run a broker for as long as the block lasts.

    Args:
        host: the address to listen on.
        port: the port; 1883 is MQTT's own.
        user: the one user that is let in; none: everybody who can reach it.
        password: theirs.

    Raises:
        NotPossible: the address or port cannot be had.
    """
    plugins: dict[str, dict[str, object]]
    if user:
        secret = password.get_secret_value() if password else ""
        plugins = {"agent.mqtt.broker.OneUser": {"user": user, "password": secret}}
    else:
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    listener = {"type": "tcp", "bind": place, "max_connections": MOST_CLIENTS}
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # it logs a traceback for a busy port
    logging.getLogger("transitions").setLevel(logging.WARNING)
    broker = Broker({"listeners": {"default": listener}, "plugins": plugins})
    try:
        await broker.start()
    except (AMQTTError, BrokerError, OSError) as error:
        raise NotPossible(
            f"The broker cannot listen on {place}: it is in use, or no address of this machine;"
            " choose another with --host and --port."
        ) from error
    try:
        yield
    finally:
        with anyio.move_on_after(STOP_S, shield=True):
            await broker.shutdown()
