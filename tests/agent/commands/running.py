"""``firstword`` as its users run it: a process with a state folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def firstword(state: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    environment = os.environ | {"FIRSTWORD_STATE": str(state), "COLUMNS": "100"}
    command = [sys.executable, "-m", "agent", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
