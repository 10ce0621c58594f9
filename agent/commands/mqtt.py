"""The arguments of ``firstword serve`` that tell a broker of calls. No command of its own."""

from __future__ import annotations

import argparse
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from agent.mqtt.settings import CONTENT, VARIABLES, MqttSettings, mqtt_settings

if TYPE_CHECKING:
    from agent.calls import CallHouse

ADDRESS = "FIRSTWORD_MQTT"


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    group = parser.add_argument_group(
        "MQTT", "tell a broker of calls, and do what it asks: docs/mqtt.md"
    )
    group.add_argument(
        "--mqtt",
        metavar="URL",
        help="the broker, mqtt://HOST:1883 or mqtts://HOST:8883; or set the variable"
        f" {ADDRESS}. User and password stand in the URL, better in {' and '.join(VARIABLES)}",
    )
    group.add_argument(
        "--mqtt-name",
        default="",
        metavar="NAME",
        help="this agent's name in topics (default: the machine's)",
    )
    group.add_argument(
        "--mqtt-content",
        choices=CONTENT,
        default="replies",
        help="which words are published, each choice with those before it; the caller's are only"
        " with the last two (default: %(default)s)",
    )
    group.add_argument(
        "--mqtt-discovery",
        metavar="PREFIX",
        default="homeassistant",
        help="topic of Home Assistant's discovery; '' for none (default: %(default)s)",
    )
    group.add_argument(
        "--mqtt-ca", metavar="FILE", help="certificates to trust (default: the system's)"
    )
    group.add_argument("--mqtt-cert", metavar="FILE", help="this agent's certificate")
    group.add_argument("--mqtt-key", metavar="FILE", help="the key of --mqtt-cert")


def settings(options: argparse.Namespace) -> MqttSettings | None:
    """Read the arguments and the environment; none where no broker is named.

    Raises:
        NotPossible: an argument is wrong.
    """
    url = options.mqtt or os.environ.get(ADDRESS)
    if not url:
        return None
    return mqtt_settings(
        url,
        os.environ,
        name=options.mqtt_name,
        content=options.mqtt_content,
        discovery=options.mqtt_discovery,
        files=(options.mqtt_ca, options.mqtt_cert, options.mqtt_key),
    )


@asynccontextmanager
async def telling(options: argparse.Namespace, calls: CallHouse) -> AsyncIterator[None]:
    """Tell the broker of calls for as long as the block lasts, where one is named.

    Raises:
        NotPossible: an argument is wrong, or a certificate cannot be used.
    """
    chosen = settings(options)
    if chosen is None:
        yield
        return
    from agent.mqtt import open_mqtt  # aiomqtt: only where it is wanted

    async with open_mqtt(chosen, calls) as link:
        calls.watchers.add(link.reporter)
        calls.broker = link
        yield
