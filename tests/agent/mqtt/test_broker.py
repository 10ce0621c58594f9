"""The broker that comes along, for those who have none."""

from __future__ import annotations

import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import aiomqtt
import anyio
import pytest
from pydantic import SecretStr

from agent.__main__ import run
from agent.errors import NotPossible
from agent.mqtt import MqttSettings, open_mqtt
from tests.agent.mqtt.following import BASE, ScriptedDesk
from tests.servers.programs import free_port, said

pytestmark = pytest.mark.skipif(
    find_spec("amqtt") is None, reason="pip install 'firstword[broker]'"
)
if find_spec("amqtt") is not None:
    from agent.mqtt.broker import open_broker


async def test_an_agent_is_followed_through_the_broker_that_came_along() -> None:
    port = free_port()
    secret = SecretStr("secret")
    settings = MqttSettings("127.0.0.1", port, user="me", password=secret, name="kitchen")
    desk = ScriptedDesk()
    with anyio.fail_after(15):
        async with (
            open_broker("127.0.0.1", port, "me", secret),
            aiomqtt.Client("127.0.0.1", port, username="me", password="secret") as home,
        ):
            await home.subscribe(f"{BASE}/#", qos=1)
            async with open_mqtt(settings, desk):
                async for message in home.messages:
                    if message.topic.value == f"{BASE}/status":
                        assert message.payload == b"online"
                        break
                await home.publish(f"{BASE}/command/say", "Dinner!", qos=1)
                async for message in home.messages:
                    if message.topic.value == f"{BASE}/answer":
                        break
    assert desk.done == [("say", "c1", "Dinner!")]


@pytest.mark.parametrize("who", [("me", "wrong"), ("you", "secret"), ("me", ""), (None, None)])
async def test_it_lets_in_nobody_but_its_user(who: tuple[str | None, str | None]) -> None:
    port = free_port()
    with anyio.fail_after(15):
        async with open_broker("127.0.0.1", port, "me", SecretStr("secret")):
            stranger = aiomqtt.Client(
                "127.0.0.1", port, username=who[0], password=who[1], timeout=2
            )
            with pytest.raises(aiomqtt.MqttError):
                async with stranger:
                    pass


async def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        with pytest.raises(NotPossible, match="cannot listen on"):
            async with open_broker("127.0.0.1", port):
                pass


def test_the_network_is_not_let_in_without_a_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["broker", "--host", "0.0.0.0"]) == 2
    assert "FIRSTWORD_MQTT_PASSWORD" in capsys.readouterr().err


async def test_the_command_serves_until_it_is_stopped() -> None:
    port = free_port()
    command = [sys.executable, "-m", "agent", "broker", "--port", str(port)]
    with anyio.fail_after(18):
        async with await anyio.open_process(command) as process:
            line = (await said(process, "(.*)\n"))[1]
            assert line == f"The broker answers at mqtt://127.0.0.1:{port} (Ctrl-C stops it)"
            async with aiomqtt.Client("127.0.0.1", port) as home:
                await home.publish("any/topic", "hello", qos=1)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
