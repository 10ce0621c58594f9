"""A pickle that does something where it is loaded, as any pickle may."""

from __future__ import annotations

import os
from collections.abc import Callable


class Trap:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.folder,)
