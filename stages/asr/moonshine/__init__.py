"""Moonshine tiny: English speech to words, 20 ms of work for a second of sound, on one thread."""

from __future__ import annotations

from stages.asr.moonshine.stage import MoonshineAsr, MoonshineOptions, plugin

__all__ = ["MoonshineAsr", "MoonshineOptions", "plugin"]
