"""What Home Assistant is told, so that the agent appears there by itself. Pure."""

from __future__ import annotations

import json
from typing import Any

from agent.mqtt.settings import CONTENT, MqttSettings
from agent.mqtt.topics import OFFLINE, ONLINE, Topics

LONGEST_STATE = 255
"""Characters of a state, at most: Home Assistant refuses longer ones."""


def discovery(settings: MqttSettings, topics: Topics, version: str) -> dict[str, str]:
    """Return the retained messages, topic to JSON; none where no discovery is wanted."""
    if not settings.discovery:
        return {}
    device = {
        "identifiers": [f"firstword_{settings.name}"],
        "name": f"FirstWord {settings.name}",
        "manufacturer": "FirstWord",
        "sw_version": version,
    }
    shared = {
        "availability_topic": topics.status,
        "payload_available": ONLINE,
        "payload_not_available": OFFLINE,
        "device": device,
        "origin": {"name": "FirstWord", "sw_version": version},
    }
    messages = {}
    for component, name, config in _entities(settings, topics):
        unique = f"firstword_{settings.name}_{name}"
        whole = config | shared | {"unique_id": unique, "object_id": unique}
        topic = f"{settings.discovery}/{component}/firstword_{settings.name}/{name}/config"
        messages[topic] = json.dumps(whole)
    return messages


def _entities(settings: MqttSettings, topics: Topics) -> list[tuple[str, str, dict[str, Any]]]:
    entities = [
        _sensor(topics, "state", "State", "state", "state", icon="mdi:phone-voice"),
        _sensor(topics, "calls", "Calls", "state", "calls", icon="mdi:phone-in-talk"),
        _latency(topics, "latency", "Last first response", "last_first_response_ms"),
        _latency(topics, "latency_p95", "First response, 95th percentile", "p95_first_response_ms"),
        _button(topics, "hangup", "Hang up", "hangup", "{}", "mdi:phone-hangup"),
        _button(topics, "mute", "Mute the caller", "mute", '{"muted": true}', "mdi:microphone-off"),
        _button(topics, "unmute", "Hear the caller", "mute", '{"muted": false}', "mdi:microphone"),
        (
            "text",
            "say",
            {
                "name": "Say",
                "command_topic": topics.of("command/say"),
                "max": LONGEST_STATE,
                "icon": "mdi:message-text",
            },
        ),
    ]
    if CONTENT.index(settings.content) >= CONTENT.index("finals"):
        entities.append(_sensor(topics, "transcript", "Last transcript", "transcript", "text"))
    return entities


def _sensor(
    topics: Topics, name: str, title: str, what: str, key: str, **more: Any
) -> tuple[str, str, dict[str, Any]]:
    template = f"{{{{ (value_json.{key} | string)[:{LONGEST_STATE}] }}}}"
    config = {"name": title, "state_topic": topics.of(what), "value_template": template}
    return "sensor", name, config | more


def _latency(topics: Topics, name: str, title: str, key: str) -> tuple[str, str, dict[str, Any]]:
    config = {
        "name": title,
        "state_topic": topics.of("figures"),
        "value_template": f"{{{{ value_json.{key} }}}}",
        "unit_of_measurement": "ms",
        "device_class": "duration",
        "state_class": "measurement",
        "suggested_display_precision": 0,
    }
    return "sensor", name, config


def _button(
    topics: Topics, name: str, title: str, command: str, payload: str, icon: str
) -> tuple[str, str, dict[str, Any]]:
    config = {
        "name": title,
        "command_topic": topics.of(f"command/{command}"),
        "payload_press": payload,
        "icon": icon,
    }
    return "button", name, config
