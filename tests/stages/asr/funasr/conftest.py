"""Tiny FunASR models with random weights, built by the Python that has FunASR."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from stages.asr.funasr.names import PYTHON

BUILDER = Path(__file__).with_name("tiny.py")


def alphabets() -> tuple[set[str], set[str]]:
    """Return what the streaming model writes with, and what the offline one does."""
    found = re.findall(r'^(?:OTHER_)?TOKENS = "(.+)"$', BUILDER.read_text("utf-8"), re.MULTILINE)
    streaming, offline = found
    return set(streaming), set(offline)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the tiny models: streaming, offline, punctuation, speaker."""
    python = os.environ.get(PYTHON) or (sys.executable if find_spec("funasr") else None)
    if python is None:
        pytest.skip(f"needs FunASR: pip install 'firstword[funasr]', or {PYTHON}=its interpreter")
    folder = tmp_path_factory.mktemp("tiny")
    built = subprocess.run(
        [python, "-I", str(BUILDER), str(folder)], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr[-2000:]
    return folder
