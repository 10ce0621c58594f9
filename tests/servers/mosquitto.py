"""Debian's mosquitto on a free loopback port, with a password and an ACL file."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt
import anyio
from anyio.abc import Process

from tests.servers.programs import free_port, program, said, started

AGENT, HOME, STRANGER = ("agent", "a secret"), ("home", "another"), ("stranger", "nothing")

ACL = """\
user agent
topic readwrite firstword/v1/kitchen/#
topic write homeassistant/#
topic readwrite lamp/#

user home
topic read firstword/v1/kitchen/#
topic read homeassistant/#
topic write firstword/v1/kitchen/command/#
topic readwrite lamp/#

user stranger
topic read nothing/at/all
"""


@dataclass
class Broker:
    """A broker that can be killed and started again on the same port; it forgets everything."""

    folder: Path
    port: int = field(default_factory=free_port)
    tls: tuple[Path, Path, Path] | None = None  # CA, certificate, key: then clients show theirs
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://127.0.0.1:{self.port}"

    def write(self) -> None:
        passwords, rights = self.folder / "passwords", self.folder / "acl"
        hashing = program("mosquitto_passwd", "mosquitto")
        passwords.touch(0o600)
        for user, password in (AGENT, HOME, STRANGER):
            command = [hashing, "-b", str(passwords), user, password]
            subprocess.run(command, check=True, capture_output=True)
        rights.write_text(ACL)
        rights.chmod(0o600)
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous false",
            f"password_file {passwords}",
            f"acl_file {rights}",
            "persistence false",
            "user root",
            "log_dest stderr",
            *(f"log_type {kind}" for kind in ("error", "warning", "information")),
        ]
        if self.tls:
            ca, certificate, key = self.tls
            lines += [f"cafile {ca}", f"certfile {certificate}", f"keyfile {key}"]
            lines += ["require_certificate true"]
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    async def start(self) -> None:
        """Start it; it listens when this returns."""
        command = [program("mosquitto"), "-c", str(self.folder / "mosquitto.conf")]
        self.process = await started(command)
        await said(self.process, "mosquitto version .* running")

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()
        await self.process.aclose()
        self.process = None

    def client(self, who: tuple[str, str] = HOME) -> aiomqtt.Client:
        return aiomqtt.Client("127.0.0.1", self.port, username=who[0], password=who[1])


@asynccontextmanager
async def mosquitto(
    folder: Path, tls: tuple[Path, Path, Path] | None = None
) -> AsyncIterator[Broker]:
    """Run a broker for as long as the block lasts."""
    broker = Broker(folder, tls=tls)
    broker.write()
    await broker.start()
    try:
        yield broker
    finally:
        with anyio.CancelScope(shield=True):
            if broker.process is not None:
                await broker.kill()
