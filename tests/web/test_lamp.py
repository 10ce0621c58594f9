"""A lamp switched by voice: a browser, recorded speech, a tool, and a real broker."""

from __future__ import annotations

import json
from pathlib import Path

import aiomqtt
import anyio
import pytest
import yaml
from aiohttp import web
from playwright.async_api import expect

from agent.trace import read
from stages.models import ModelStore
from tests.agent.mqtt.following import BASE
from tests.servers.chat import calls_tool, chat_server, says
from tests.servers.mosquitto import AGENT, Broker, mosquitto
from tests.web.browsers import chromium, opened
from tests.web.serving import served
from tests.web.test_real_speech import microphone

pytestmark = [
    pytest.mark.browser,
    pytest.mark.model,
    pytest.mark.speech,
    pytest.mark.timeout(120),
]

COMMAND = "dev/en_assistant/v2j_turn_on_living_room_lamp.flac"

LAMP = {
    "kind": "mqtt",
    "name": "switch_lamp",
    "description": "Switch the lamp of a room.",
    "parameters": {
        "type": "object",
        "properties": {
            "room": {"enum": ["living room", "kitchen"]},
            "state": {"enum": ["on", "off"]},
        },
        "required": ["room", "state"],
        "additionalProperties": False,
    },
    "topic": "lamp/set",
    "reply_topic": "lamp/state",
}


async def mind(request: web.Request) -> web.StreamResponse:
    """Think as a model with tools does: order the lamp, then say what came of it."""
    last = (await request.json())["messages"][-1]
    if last["role"] == "tool":
        state = json.loads(json.loads(last["content"])["result"])["state"]
        return await says("The lamp is ", f"{state} now.")(request)
    words = last["content"].lower()
    if "lamp" in words:
        room = "living room" if "living" in words else "kitchen"
        order = {"room": room, "state": "on" if " on " in f" {words} " else "off"}
        return await calls_tool("switch_lamp", order)(request)
    return await says("I did not understand.")(request)


class Lamp:
    """A lamp on the broker, that says what it has become."""

    def __init__(self) -> None:
        self.orders: list[dict[str, str]] = []
        self.news: list[str] = []

    async def run(self, broker: Broker) -> None:
        async with broker.client() as client:
            await client.subscribe([("lamp/set", 1), (f"{BASE}/#", 1)])
            async for message in client.messages:
                await self._take(client, message)

    async def _take(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        assert isinstance(message.payload, bytes)
        if message.topic.value != "lamp/set":
            self.news.append(message.topic.value.removeprefix(BASE + "/"))
            return
        self.orders.append(json.loads(message.payload))
        await client.publish("lamp/state", message.payload, qos=1)


async def test_a_lamp_is_switched_by_voice(
    speech: Path, store: ModelStore, tmp_path: Path
) -> None:
    file, lamp = microphone(speech, tmp_path / "command.wav", COMMAND), Lamp()
    user, password = AGENT
    async with (
        mosquitto(tmp_path) as broker,
        chat_server(mind) as llm,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(lamp.run, broker)
        profile = {
            "extends": "default",
            "name": "Robin",
            "llm": {"base_url": llm.url, "model": "m"},
            "tools": [LAMP],
        }
        (tmp_path / "lamp.yaml").write_text(yaml.safe_dump(profile))
        arguments = ("--mqtt", broker.url, "--mqtt-name", "kitchen")
        variables = {
            "FIRSTWORD_PROFILES": str(tmp_path),
            "FIRSTWORD_MQTT_USER": user,
            "FIRSTWORD_MQTT_PASSWORD": password,
        }
        async with (
            served(tmp_path, "lamp", *arguments, **variables) as (address, _),
            chromium(microphone=file) as browser,
        ):
            page = await opened(browser, address)
            await page.locator("label.card", has_text="Robin").first.click()
            await page.get_by_role("button", name="Call", exact=True).click()
            answer = page.locator("li.agent").last
            await expect(answer).to_contain_text("The lamp is on now.", timeout=40_000)
            await expect(page.locator("#total-meaning")).to_contain_text(
                "until you heard the reply", timeout=20_000
            )
            await expect(page.locator("#legend .tool")).to_contain_text("Tool")
            await page.get_by_role("button", name="Hang up").click()
            await expect(page.locator("#lobby")).to_be_visible()
        tasks.cancel_scope.cancel()

    assert lamp.orders == [{"room": "living room", "state": "on"}], "once, whatever was guessed"
    assert {"status", "call", "reply", "latency"} <= set(lamp.news)
    assert "transcript" not in lamp.news
    [record] = read(tmp_path / "firstword" / "turns.sqlite")
    assert [(use.name, use.ok) for use in record.tools] == [("switch_lamp", True)]
    assert dict(record.spans)["tool"] >= 0
    assert record.first_response_ms == pytest.approx(sum(ms for _, ms in record.spans), abs=1e-3)
