"""What the server is told, and what it asks of whoever makes the calls."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import SecretStr

from agent.desk import Desk
from agent.errors import NotPossible


@dataclass(frozen=True, slots=True)
class Started:
    """A call that stands, or goes on, once the page has this answer."""

    call: str
    session: str  # secret: whoever shows it goes on with this call
    answer_sdp: str


class Calls(Desk, Protocol):
    """Makes calls and ends them, and does to them what operators ask."""

    @property
    def count(self) -> int:
        """Calls under way."""

    @property
    def limit(self) -> int:
        """Calls at most."""

    async def start(self, offer_sdp: str, profile_id: str | None, session: str | None) -> Started:
        """Answer an offer: begin a call, or go on with the one of that session.

        Raises:
            CallRefused: with the HTTP status and the sentence that the page is to have.
        """

    async def drain(self, deadline_s: float) -> None:
        """Take no more calls; let replies end, then calls, by the deadline."""


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Where the server listens and whom it lets in."""

    host: str = "127.0.0.1"
    port: int = 8700  # 0: any free one
    token: SecretStr | None = None  # wanted of everybody, where it is set
    default_profile: str = "default"
    ice_servers: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    """As ``RTCPeerConnection`` takes them; may hold credentials, so only token holders get them."""
    calls_a_minute: int = 60
    """Calls that one address may begin a minute, half of them at once."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    def check(self) -> None:
        """Refuse to listen to the network without a token.

        Raises:
            NotPossible: no token where one is needed, or one that no header can carry.
        """
        token = self.token.get_secret_value() if self.token else ""
        if not self.loopback and not token:
            raise NotPossible(
                f"{self.host} can be reached from other machines, so a token is needed: set"
                " FIRSTWORD_TOKEN (or --token), or serve on 127.0.0.1."
            )
        if not all("!" <= character <= "~" for character in token):
            raise NotPossible("The token may hold only visible ASCII characters, and no spaces.")


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own loopback."""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
