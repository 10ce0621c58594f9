"""The model store: models as data, by name, verified before anybody loads them."""

from __future__ import annotations

from stages.models.catalogue import CATALOGUE, EMBEDDED
from stages.models.shapes import File, Hub, Installed, Model, Wheel
from stages.models.store import ModelStore, Progress, State, default_root

__all__ = [
    "CATALOGUE",
    "EMBEDDED",
    "File",
    "Hub",
    "Installed",
    "Model",
    "ModelStore",
    "Progress",
    "State",
    "Wheel",
    "default_root",
]
