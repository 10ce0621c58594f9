"""What several modules of the plug-in call by name."""

from __future__ import annotations

STAGE = "asr funasr"

PYTHON = "FIRSTWORD_FUNASR_PYTHON"
"""Environment variable: the interpreter that has FunASR, where it is not the agent's own."""
