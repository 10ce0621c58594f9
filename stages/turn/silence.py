"""A turn detector without a model: only the length of the silence decides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stages.contracts import Options, Plugin, Turn
from stages.events import PauseContext
from stages.models import ModelStore

CANNOT_TELL = 0.5


class SilenceOptions(Options):
    """``silence`` has no settings: the profile's ``turn`` section says how long is long enough."""


class SilenceTurn:
    """Never has an opinion."""

    async def judge(self, pause: PauseContext) -> float:
        """Return 0.5, whatever was said."""
        return CANNOT_TELL


@asynccontextmanager
async def _open(options: SilenceOptions, store: ModelStore) -> AsyncIterator[SilenceTurn]:
    yield SilenceTurn()


plugin: Plugin[Turn] = Plugin(SilenceOptions, _open)
