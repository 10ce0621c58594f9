"""docs/profiles.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.profile import (
    AsrChoice,
    Choice,
    LlmChoice,
    Profile,
    Shelf,
    SpeakersChoice,
    TurnChoice,
    VoiceChoice,
)
from agent.resources import folder
from agent.turn_settings import TurnSettings

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "profiles.md").read_text("utf-8")


@pytest.mark.parametrize("text", re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL))
def test_every_example_of_the_documentation_can_be_read(tmp_path: Path, text: str) -> None:
    file = tmp_path / "example.yaml"
    file.write_text(text, encoding="utf-8")
    Shelf((folder("profiles"),)).load(file)


def test_the_documentation_names_every_field() -> None:
    shapes = (Profile, Choice, AsrChoice, LlmChoice, VoiceChoice, TurnChoice, SpeakersChoice)
    names = {name for shape in shapes for name in shape.model_fields}
    assert not {name for name in names if f"`{name}`" not in DOCUMENT}


def test_the_documentation_has_the_right_defaults_of_turn_taking() -> None:
    for name, field in TurnSettings.model_fields.items():
        row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{name}` |"))
        assert row.split("|")[-2].strip() == str(field.default).lower()
