"""A broker that wants to see certificates, and shows its own."""

from __future__ import annotations

import datetime as dt
import gc
import ipaddress
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.errors import NotPossible
from agent.mqtt import mqtt_settings, open_mqtt
from agent.mqtt.link import Link
from tests.agent.mqtt.following import ScriptedDesk
from tests.servers.mosquitto import AGENT, mosquitto
from tests.told import told_by

Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def certificate(name: str, folder: Path, authority: Pair | None = None) -> Pair:
    """Make a certificate and its key, and write both as NAME.pem and NAME.key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    issuer, signer = (authority[0].subject, authority[1]) if authority else (subject, key)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), True)
        .add_extension(x509.SubjectAlternativeName([address]), False)
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(private)
    return made, key


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """Make certificates for both sides; return the authority's, ours and our key."""
    authority = certificate("authority", tmp_path)
    for name in ("broker", "mine"):
        certificate(name, tmp_path, authority)
    ca, own, key = (str(tmp_path / name) for name in ("authority.pem", "mine.pem", "mine.key"))
    return ca, own, key


@asynccontextmanager
async def linked(folder: Path, files: tuple[str | None, ...]) -> AsyncIterator[Link]:
    """Link to a broker that wants to see certificates."""
    tls = (folder / "authority.pem", folder / "broker.pem", folder / "broker.key")
    known = dict(zip(("FIRSTWORD_MQTT_USER", "FIRSTWORD_MQTT_PASSWORD"), AGENT, strict=True))
    async with mosquitto(folder, tls) as broker:
        ca, own, key = files
        settings = mqtt_settings(broker.url, known, name="kitchen", files=(ca, own, key))
        async with open_mqtt(settings, ScriptedDesk()) as link:
            yield link


async def test_both_sides_show_their_certificates(
    tmp_path: Path, files: tuple[str, str, str]
) -> None:
    async with linked(tmp_path, files) as link:
        with anyio.fail_after(10):
            await link.connected.wait()


async def test_who_shows_no_certificate_is_not_let_in(
    tmp_path: Path, files: tuple[str, str, str]
) -> None:
    with told_by("agent.mqtt") as told:
        async with linked(tmp_path, (files[0], None, None)) as link:
            await told.of("No connection")
            assert not link.connected.is_set()


async def test_a_broker_that_nobody_vouches_for_is_told_nothing(
    tmp_path: Path, files: tuple[str, str, str]
) -> None:
    with warnings.catch_warnings(), told_by("agent.mqtt") as told:
        # paho leaves such a socket to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        async with linked(tmp_path, (None, *files[1:])) as link:
            assert "certificate verify failed" in await told.of("No connection")
            assert not link.connected.is_set()
        gc.collect()


async def test_a_certificate_that_cannot_be_read_is_said_at_once(tmp_path: Path) -> None:
    settings = mqtt_settings("mqtts://broker", {}, files=(str(tmp_path / "none.pem"), None, None))
    with pytest.raises(NotPossible, match=r"cannot be used: .*none\.pem is not there\.$"):
        async with open_mqtt(settings, ScriptedDesk()):
            pass
