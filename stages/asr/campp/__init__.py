"""The streaming recogniser ``campp``: many live calls, one batch. See docs/campp.md."""

from __future__ import annotations

from stages.asr.campp.stage import CamppAsr, plugin

__all__ = ["CamppAsr", "plugin"]
