"""MQTT: calls followed, and acted on, from a broker. ``docs/mqtt.md`` is the same for its users.

- settings: where the broker is, and what it may know
- shapes: the JSON of every topic, as pydantic models
- topics: their names
- outbox: what waits for the broker; bounded, with counted drops
- reporter: an ``Observer`` that puts what happens into the outbox
- discovery: what Home Assistant is told
- commands: what may be asked, and the answers
- link: the connection; it comes back by itself, and no call ever waits for it
"""

from __future__ import annotations

from agent.mqtt.link import open_mqtt
from agent.mqtt.settings import MqttSettings, mqtt_settings

__all__ = ["MqttSettings", "mqtt_settings", "open_mqtt"]
