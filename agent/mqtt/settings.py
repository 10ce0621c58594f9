"""Where the broker is, who we are to it, and what it may know."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from agent.errors import NotPossible

Content: TypeAlias = Literal["none", "replies", "finals", "partials"]
CONTENT: tuple[Content, ...] = ("none", "replies", "finals", "partials")
"""What of the words goes to the broker; each step includes the one before it."""

PORTS = {"mqtt": 1883, "mqtts": 8883}
NAME = r"[a-z0-9][a-z0-9_-]{0,63}"
VARIABLES = ("FIRSTWORD_MQTT_USER", "FIRSTWORD_MQTT_PASSWORD")


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """A broker and how we meet it.

    Attributes:
        name: ours, in every topic: ``firstword/v1/NAME/…``.
        content: what of the words is published.
        ca: file of the certificates to trust; none: the system's.
        certificate: our own, with ``key``, where the broker wants one.
        discovery: the prefix of Home Assistant's discovery; empty: none is sent.
    """

    host: str
    port: int = 1883
    tls: bool = False
    user: str | None = None
    password: SecretStr | None = field(default=None, repr=False)
    name: str = "agent"
    content: Content = "replies"
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    discovery: str = "homeassistant"

    @property
    def place(self) -> str:
        """Where the broker is, for sentences: no secrets."""
        return f"{self.host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context for the connection; reads files, so call it in a thread.

        Raises:
            NotPossible: a file cannot be read, or is no certificate.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            files = [file for file in (self.ca, self.certificate, self.key) if file]
            gone = [f"{file} is not there" for file in files if not file.is_file()]
            reason = gone[0] if gone else error  # which, the system does not say
            sentence = f"The certificates for {self.place} cannot be used: {reason}."
            raise NotPossible(sentence) from error
        return context


def mqtt_settings(
    url: str,
    environment: Mapping[str, str],
    *,
    name: str = "",
    content: Content = "replies",
    discovery: str = "homeassistant",
    files: tuple[str | None, str | None, str | None] = (None, None, None),
) -> MqttSettings:
    """Read a broker's address: ``mqtt://[user[:password]@]host[:port]``, or ``mqtts://…``.

    Args:
        url: user and password in it win over those of the environment.
        environment: may hold ``FIRSTWORD_MQTT_USER`` and ``FIRSTWORD_MQTT_PASSWORD``.
        name: ours; empty: the machine's name.
        content: what of the words is published.
        discovery: the prefix of Home Assistant's discovery; empty: none.
        files: the certificates to trust, our own certificate, its key.

    Raises:
        NotPossible: with a sentence that repeats no password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotPossible("--mqtt wants mqtt://host:port with a port up to 65535.") from None
    if parts.scheme not in PORTS or not parts.hostname or parts.path not in ("", "/"):
        raise NotPossible("--mqtt wants an address like mqtt://host:1883 or mqtts://host:8883.")
    if any(files) and parts.scheme != "mqtts":
        raise NotPossible("Certificates are for TLS: write mqtts:// in --mqtt.")
    if (files[1] is None) != (files[2] is None):
        raise NotPossible("A client certificate needs both --mqtt-cert and --mqtt-key.")
    user, password = (environment.get(variable) for variable in VARIABLES)
    user = unquote(parts.username) if parts.username else user
    password = unquote(parts.password) if parts.password else password
    ca, certificate, key = (Path(file) if file else None for file in files)
    return MqttSettings(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        tls=parts.scheme == "mqtts",
        user=user or None,
        password=SecretStr(password) if password else None,
        name=_name(name),
        content=content,
        ca=ca,
        certificate=certificate,
        key=key,
        discovery=discovery.strip("/"),
    )


def _name(name: str) -> str:
    if not name:
        host = re.sub(r"[^a-z0-9_-]+", "-", socket.gethostname().lower()).strip("-_")[:64]
        return host or "agent"
    if not re.fullmatch(NAME, name):
        raise NotPossible(
            f"--mqtt-name {name!r} is no name: use lower-case letters, digits, - and _."
        )
    return name
