"""How a connection finds its way: STUN, TURN, ports and addresses."""

from __future__ import annotations

import ipaddress
import re

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

_URL = re.compile(r"(stun:|turns?:)[^:?/\s]+(:\d{1,5})?(\?transport=(udp|tcp))?")


class IceServer(BaseModel):
    """A STUN or TURN server; TURN wants a name and a credential."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="stun:host[:port] or turn[s]:host[:port][?transport=udp|tcp]")
    username: str | None = None
    credential: SecretStr | None = None

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if not _URL.fullmatch(url) or (url.startswith("stun") and "?" in url):
            raise ValueError(
                f"{url!r} is no address of an ICE server; write stun:host:port,"
                " turn:host:port or turns:host:port"
            )
        return url


class IceSettings(BaseModel):
    """What our end of every connection uses; with nothing set, this machine's own addresses.

    A server that cannot be reached holds up each call for five seconds, so there is none
    unless somebody names one. At most one STUN and one TURN server are used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    servers: tuple[IceServer, ...] = ()
    ports: tuple[int, int] | None = Field(
        default=None,
        description="first and last UDP port of the media; a call takes one an address",
    )
    hosts: tuple[str, ...] = Field(
        default=(), description="addresses to receive media on; empty: all of this machine's"
    )

    @field_validator("ports")
    @classmethod
    def _range(cls, ports: tuple[int, int] | None) -> tuple[int, int] | None:
        if ports is not None and not 1024 <= ports[0] <= ports[1] <= 65535:
            raise ValueError("ports must be a first and a last one between 1024 and 65535")
        return ports

    @field_validator("hosts")
    @classmethod
    def _addresses(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            ipaddress.ip_address(host)  # its ValueError is a sentence
        return hosts
