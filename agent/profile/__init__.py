"""Profiles: one character a YAML file, read once into a frozen value.

``load("xiaoxiao")`` reads one, ``load_all()`` lists them, broken ones too. A ``Profile`` says
what was chosen; ``profile.chosen("llm")`` finds that stage and its checked options, with
``${NAME}`` filled in from the environment, there and nowhere else.
"""

from agent.profile.schema import json_schema
from agent.profile.shape import (
    ID,
    AsrChoice,
    Choice,
    Example,
    LlmChoice,
    MemoryChoice,
    Profile,
    SpeakersChoice,
    TurnChoice,
    VoiceChoice,
)
from agent.profile.shelf import Entry, Shelf, default_id, load, load_all, user_folder
from agent.profile.stage import Chosen

__all__ = [
    "ID",
    "AsrChoice",
    "Choice",
    "Chosen",
    "Entry",
    "Example",
    "LlmChoice",
    "MemoryChoice",
    "Profile",
    "Shelf",
    "SpeakersChoice",
    "TurnChoice",
    "VoiceChoice",
    "default_id",
    "json_schema",
    "load",
    "load_all",
    "user_folder",
]
