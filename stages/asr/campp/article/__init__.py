"""``firstword bench article``: the source article's tables, on our own engine and data."""

from __future__ import annotations

from stages.asr.campp.article.command import add, run

__all__ = ["add", "run"]
