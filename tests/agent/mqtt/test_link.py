"""An agent and a real mosquitto, with a password and an ACL."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from urllib.parse import quote

import anyio
import jsonschema
import pytest
from pydantic import SecretStr

from agent.errors import NotPossible
from agent.messages import Heard, ReplyEnd, State, Switched, ToPage, Trouble
from agent.mqtt import MqttSettings, mqtt_settings, open_mqtt
from agent.mqtt.link import Link
from agent.mqtt.shapes import json_schema
from agent.timeline import Timeline, TurnRecord
from tests.agent.mqtt.following import BASE, ScriptedDesk, follower
from tests.servers.mosquitto import AGENT, Broker, mosquitto
from tests.servers.programs import free_port
from tests.told import told_by

SHAPES = {
    "state": "AgentState",
    "call": "CallEvent",
    "transcript": "Words",
    "transcript/partial": "Words",
    "reply": "Answered",
    "latency": "Latency",
    "figures": "Figures",
    "error": "Trouble",
    "answer": "Answer",
}


def settings_of(broker: Broker, **more: object) -> MqttSettings:
    user, password = AGENT
    known = {"FIRSTWORD_MQTT_USER": user, "FIRSTWORD_MQTT_PASSWORD": password}
    return mqtt_settings(broker.url, known, name="kitchen", **more)  # type: ignore[arg-type]


def record(ms: float = 400.0) -> TurnRecord:
    timeline = Timeline(call="c1", turn=1, profile="bare", started_at="2026-01-01T00:00:00+00:00")
    timeline.user_text = "my secret question"
    timeline.reply_text = timeline.heard_text = "my secret answer"
    timeline.mark("speech_end", 10.0)
    timeline.mark("playout_first", 10.0 + ms / 1000)
    return timeline.record()


WORDS: tuple[ToPage, ...] = (
    State(state="thinking"),
    Heard(turn=1, text="turn the", stable=0),
    Heard(turn=1, text="turn the light on", stable=17, final=True),
    ReplyEnd(turn=1, reply=2, heard="It is on.", interrupted=False),
    Trouble(sentence="tts edge: it fell over"),
    Switched(profile="fox", name="Fox"),
)


def one_call(link: Link) -> None:
    """Tell the observer of a whole call."""
    link.reporter.call_started("c1", "bare", "Bare")
    for word in WORDS:
        link.reporter.told("c1", word)
    link.reporter.turn(record(400.0))
    link.reporter.turn(record(800.0))
    link.reporter.call_ended("c1")


async def test_a_call_is_followed_from_its_start_to_its_end(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, follower(broker) as home:
        async with open_mqtt(settings_of(broker, content="partials"), ScriptedDesk()) as link:
            await home.next("status", lambda payload: payload == "online")
            one_call(link)
            await home.next("call", lambda event: event["event"] == "ended")
        await home.next("status", lambda payload: payload == "offline")
        came = [(topic, home.read(payload)) for topic, payload in home.all]
    schema = json_schema()
    for topic, payload in came:
        if topic in SHAPES:
            jsonschema.validate(payload, schema | {"$ref": f"#/$defs/{SHAPES[topic]}"})
    assert {topic for topic, _ in came} >= set(SHAPES) - {"answer"}
    events = [payload["event"] for topic, payload in came if topic == "call"]
    assert events == ["started", "switched", "ended"]
    [final] = [payload for topic, payload in came if topic == "transcript"]
    assert (final["text"], final["final"]) == ("turn the light on", True)
    figures = [payload for topic, payload in came if topic == "figures"][-1]
    assert figures["last_first_response_ms"] == figures["p95_first_response_ms"] == 800
    assert figures["p50_first_response_ms"] == 400
    latencies = [payload for topic, payload in came if topic == "latency"]
    assert [latency["first_response_ms"] for latency in latencies] == [400, 800]
    assert "my secret" not in json.dumps(latencies), "a latency record has no words"


async def test_what_the_caller_said_stays_here_unless_somebody_asks_for_it(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, follower(broker) as home:
        async with open_mqtt(settings_of(broker), ScriptedDesk()) as link:
            link.reporter.call_started("c1", "bare", "Bare")
            for word in WORDS:
                link.reporter.told("c1", word)
            link.reporter.call_ended("c1")
            reply = await home.next("reply")
            assert reply["text"] == "It is on."
        await home.next("status", lambda payload: payload == "offline")
        assert "light" not in json.dumps(home.all)
        assert not {"transcript", "transcript/partial"} & home.topics()


async def test_commands_are_done_and_answered(tmp_path: Path) -> None:
    desk = ScriptedDesk()
    async with (
        mosquitto(tmp_path) as broker,
        follower(broker) as home,
        open_mqtt(settings_of(broker), desk),
    ):
        await home.next("status", lambda payload: payload == "online")
        assert await home.ask("say", {"text": "Dinner!", "id": "7"}) == {
            "id": "7", "command": "say", "ok": True, "call": "c1", "error": None,
        }  # fmt: skip
        assert (await home.ask("say", "Plain text, as Home Assistant sends it."))["ok"]
        assert (await home.ask("mute", {"muted": True, "call": "c1"}))["ok"]
        assert (await home.ask("switch", {"profile": "fox"}))["ok"]
        assert (await home.ask("switch", "wolf"))["ok"]
        assert (await home.ask("hangup", "{}"))["call"] == "c1"
        assert (await home.ask("state"))["ok"]
    assert desk.done == [
        ("say", "c1", "Dinner!"),
        ("say", "c1", "Plain text, as Home Assistant sends it."),
        ("mute", "c1", "True"),
        ("switch", "c1", "fox"),
        ("switch", "c1", "wolf"),
        ("hangup", "c1"),
    ]


@pytest.mark.parametrize(
    ("command", "payload", "says"),
    [
        ("dance", "{}", "There is no such command; there are: say"),
        ("say", '{"text": ""}', "In say text is wrong"),
        ("say", '{"text": "a", "volume": 11}', "In say volume is wrong"),
        ("say", b"\xff\xfe\x00", "no UTF-8"),
        ("say", "x" * 20_000, "longer than 16384 bytes"),
        ("say", "[" * 5000, "In say text is wrong"),
        ("mute", "[1]", "In mute the payload is wrong"),
        ("say", {"text": "a", "call": "c9"}, "There is no such call"),
        ("hangup", {"call": "c9"}, "There is no such call"),
        ("switch", {"profile": "broken"}, "its log says why"),
        ("say", {"text": "a", "id": "../../x y"}, "In say id is wrong"),
    ],
)
async def test_what_cannot_be_done_is_answered_with_a_sentence(
    tmp_path: Path, command: str, payload: object, says: str
) -> None:
    async with (
        mosquitto(tmp_path) as broker,
        follower(broker) as home,
        open_mqtt(settings_of(broker), ScriptedDesk()),
    ):
        await home.next("status", lambda payload: payload == "online")
        answer = await home.ask(command, payload)
        assert not answer["ok"]
        assert says in answer["error"]
        assert (await home.ask("state"))["ok"], "the next one is done"


async def test_a_retained_command_is_not_done_again_with_every_connection(tmp_path: Path) -> None:
    desk = ScriptedDesk()
    async with mosquitto(tmp_path) as broker, follower(broker) as home:
        await home.client.publish(f"{BASE}/command/hangup", "{}", qos=1, retain=True)
        async with open_mqtt(settings_of(broker), desk):
            answer = await home.next("answer")
    assert "without the retain flag" in answer["error"]
    assert not desk.done


AGENT_ALONE = """
import sys, anyio
from agent.mqtt import mqtt_settings, open_mqtt
from tests.agent.mqtt.following import ScriptedDesk
async def main():
    settings = mqtt_settings(sys.argv[1], {}, name="kitchen")
    async with open_mqtt(settings, ScriptedDesk()):
        await anyio.sleep_forever()
anyio.run(main)
"""


async def test_the_broker_says_offline_for_an_agent_that_was_killed(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as broker, follower(broker) as home:
        user, password = AGENT
        url = f"mqtt://{user}:{quote(password)}@127.0.0.1:{broker.port}"
        command = [sys.executable, "-c", AGENT_ALONE, url]
        async with await anyio.open_process(command) as agent:
            await home.next("status", lambda payload: payload == "online")
            agent.kill()
        await home.next("status", lambda payload: payload == "offline")


async def test_home_assistant_is_told_and_finds_every_topic(tmp_path: Path) -> None:
    settings = {"content": "finals"}
    async with (
        mosquitto(tmp_path) as broker,
        open_mqtt(settings_of(broker, **settings), ScriptedDesk()) as link,
    ):
        with anyio.fail_after(10):
            await link.connected.wait()
        async with follower(broker) as home:  # who comes later finds it retained
            await home.next("status", lambda payload: payload == "online")
            await home.ask("state")
            configs = {
                topic: json.loads(payload)
                for topic, payload in home.all
                if topic.startswith("homeassistant/")
            }
    kinds = sorted(topic.split("/")[1] for topic in configs)
    assert kinds == ["button"] * 3 + ["sensor"] * 5 + ["text"]
    assert len({config["unique_id"] for config in configs.values()}) == 9
    for config in configs.values():
        assert config["availability_topic"] == f"{BASE}/status"
        assert config["device"]["identifiers"] == ["firstword_kitchen"]
        assert config.get("state_topic", config.get("command_topic")).startswith(BASE)


async def test_what_home_assistant_shows_is_published_and_what_it_sends_is_done(
    tmp_path: Path,
) -> None:
    desk = ScriptedDesk()
    async with (
        mosquitto(tmp_path) as broker,
        follower(broker) as home,
        open_mqtt(settings_of(broker, content="finals"), desk) as link,
    ):
        await home.next("status", lambda payload: payload == "online")
        one_call(link)
        await home.next("figures", lambda figures: figures["turns"] == 2)
        await home.next("call", lambda event: event["event"] == "ended")
        latest = {topic: home.read(payload) for topic, payload in home.all}
        entities = {t.split("/")[3]: e for t, e in latest.items() if t.startswith("homeassistant/")}
        for entity in entities.values():
            if "command_topic" in entity:
                command = entity["command_topic"].removeprefix(f"{BASE}/command/")
                assert (await home.ask(command, entity.get("payload_press", "Dinner!")))["ok"]

    def shown(name: str) -> object:
        """Return what a sensor's template finds."""
        [key] = re.findall(r"value_json\.(\w+)", entities[name]["value_template"])
        return latest[entities[name]["state_topic"].removeprefix(f"{BASE}/")][key]

    assert (shown("latency"), shown("latency_p95")) == (800, 800)
    assert shown("transcript") == "turn the light on"
    assert (shown("state"), shown("calls")) == ("idle", 0)
    assert sorted(desk.done) == [
        ("hangup", "c1"), ("mute", "c1", "False"), ("mute", "c1", "True"), ("say", "c1", "Dinner!"),
    ]  # fmt: skip


async def test_a_broker_that_was_never_there_disturbs_nobody(tmp_path: Path) -> None:
    settings = MqttSettings("127.0.0.1", free_port(), name="kitchen")
    with anyio.fail_after(10):
        async with open_mqtt(settings, ScriptedDesk()) as link:
            for _ in range(3000):
                link.reporter.turn(record())
    assert link.outbox.dropped_records == 2000
    assert link.outbox.dropped_others == 0


async def test_a_broker_that_accepts_and_says_nothing_is_given_up_and_let_go(
    tmp_path: Path,
) -> None:
    gone = anyio.Event()

    async def mute(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            try:
                while True:
                    await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                gone.set()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, mute)
        with anyio.fail_after(18):
            async with open_mqtt(MqttSettings("127.0.0.1", port), ScriptedDesk()):
                await gone.wait()
        tasks.cancel_scope.cancel()


async def test_a_wrong_password_is_said_once_and_no_call_minds(tmp_path: Path) -> None:
    with told_by("agent.mqtt") as told:
        async with mosquitto(tmp_path) as broker:
            wrong = MqttSettings(
                "127.0.0.1", broker.port, user="agent", password=SecretStr("hunter2")
            )
            async with open_mqtt(wrong, ScriptedDesk()) as link:
                await told.of("No connection")
                assert not link.connected.is_set()
    [sentence] = told.sentences
    assert "No connection to the MQTT broker" in sentence
    assert "Not authorized" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize(
    "url", ["http://a", "mqtt://", "mqtt://a:99999", "mqtt://user:hunter2@a/x", "mqtt:a"]
)
def test_an_address_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(NotPossible, match="--mqtt wants") as refused:
        mqtt_settings(url, {})
    assert "hunter2" not in str(refused.value)


def test_user_and_password_come_from_the_url_or_the_environment() -> None:
    known = {"FIRSTWORD_MQTT_USER": "env", "FIRSTWORD_MQTT_PASSWORD": "secret"}
    assert mqtt_settings("mqtts://broker", known).user == "env"
    assert mqtt_settings("mqtts://broker", known).port == 8883
    own = mqtt_settings("mqtt://me:p%40ss@broker:7", known)
    assert own.password is not None
    assert (own.user, own.password.get_secret_value(), own.port) == ("me", "p@ss", 7)
    assert "p@ss" not in repr(own)
    with pytest.raises(NotPossible, match="write mqtts://"):
        mqtt_settings("mqtt://broker", {}, files=("ca.pem", None, None))
    with pytest.raises(NotPossible, match="both --mqtt-cert and --mqtt-key"):
        mqtt_settings("mqtts://broker", {}, files=(None, "mine.pem", None))
    with pytest.raises(NotPossible, match="is no name"):
        mqtt_settings("mqtt://broker", {}, name="a/#")
