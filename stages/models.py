"""The model store: models as data, by name."""

from __future__ import annotations

from pathlib import Path


class ModelStore:
    """Where model files lie once they are verified."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Return the folder of a model that is there and verified."""
        raise NotImplementedError(name)
