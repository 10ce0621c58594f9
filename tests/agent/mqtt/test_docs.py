"""The document says what is so."""

from __future__ import annotations

import json

from agent.mqtt.shapes import COMMANDS, json_schema
from tests.conftest import ROOT


def test_the_published_schema_is_the_one_that_payloads_follow() -> None:
    file = ROOT / "docs" / "mqtt.schema.json"
    assert json.loads(file.read_text()) == json_schema(), "the shapes have changed: write it anew"


def test_every_topic_and_command_is_in_the_document() -> None:
    text = (ROOT / "docs" / "mqtt.md").read_text()
    topics = "status state call reply transcript transcript/partial latency figures error answer"
    for topic in topics.split():
        assert f"| `{topic}` |" in text
    for command in COMMANDS:
        assert f"`command/{command}`" in text
