"""Where FunASR is not installed, the sentence says how to get it."""

from __future__ import annotations

import os
import subprocess
import sys

from stages.asr.funasr.names import PYTHON

FIND = "from stages.registry import find; find('asr', 'funasr')"
WITHOUT = "import sys; sys.modules['funasr'] = None; "
"""What hides the package, installed or not."""


def test_a_missing_package_is_named_with_the_line_that_brings_it() -> None:
    bare = {name: value for name, value in os.environ.items() if name != PYTHON}
    command = [sys.executable, "-c", WITHOUT + FIND]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "the package funasr is not installed" in last
    assert last.endswith("Install it with: pip install 'firstword[funasr]'")


def test_with_an_interpreter_named_the_plug_in_is_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIND], env=os.environ | {PYTHON: sys.executable}, check=False
    )
    assert done.returncode == 0
