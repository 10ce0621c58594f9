"""A call in a browser, acted on from outside: over HTTP and through a real broker."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import ClientSession
from playwright.async_api import expect

from tests.agent.mqtt.following import BASE, follower
from tests.servers.mosquitto import AGENT, mosquitto
from tests.web.browsers import chromium, opened
from tests.web.serving import served
from tests.web.test_switching import FOX

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


async def test_a_call_is_followed_and_acted_on_from_outside(tmp_path: Path) -> None:
    (tmp_path / "fox.yaml").write_text(FOX)
    names = ("FIRSTWORD_PROFILES", "FIRSTWORD_MQTT_USER", "FIRSTWORD_MQTT_PASSWORD")
    variables = dict(zip(names, (str(tmp_path), *AGENT), strict=True))
    async with mosquitto(tmp_path) as broker, follower(broker) as home:
        arguments = ("--mqtt", broker.url, "--mqtt-name", "kitchen")
        async with (
            served(tmp_path, "bare", *arguments, **variables) as (address, _),
            chromium() as browser,
            ClientSession(address) as http,
        ):
            page = await opened(browser, address)
            await page.locator("label.card", has_text="Bare").click()
            await page.get_by_role("button", name="Call without a microphone").click()
            started = await home.next("call")
            assert (started["event"], started["profile"]) == ("started", "bare")
            await expect(page.locator("li.agent").last).to_contain_text("this is a test call")

            assert (await home.ask("say", "Dinner!"))["ok"]
            await expect(page.locator("li.agent").last).to_contain_text("Dinner!")

            call = f"/api/calls/{started['call']}"
            async with http.post(f"{call}/switch", json={"profile": "fox"}) as response:
                assert response.status == 200
                assert (await response.json())["profile"] == "fox"
            await expect(page.locator("#who-name")).to_have_text("Fox")
            assert (await home.next("call"))["event"] == "switched"

            async with http.post(f"{call}/switch", json={"profile": "wolf"}) as response:
                assert response.status == 400
            async with http.post(f"{call}/mute", json={"muted": True}) as response:
                assert (await response.json())["muted"]
            async with http.get("/api/calls") as response:
                assert [one["muted"] for one in (await response.json())["calls"]] == [True]

            await home.client.publish(f"{BASE}/command/hangup", "{}")
            await expect(page.get_by_role("alert")).to_contain_text("The call is over")
            assert (await home.next("call"))["event"] == "ended"
        await home.next("status", lambda status: status == "offline")
