from __future__ import annotations

from pathlib import Path

import pytest

from stages.audio import silence
from stages.events import PauseContext
from stages.models import ModelStore
from stages.registry import find


@pytest.mark.parametrize("text", ["", "What time is it?", "I would like to", "我想要"])
async def test_it_never_has_an_opinion(text: str, tmp_path: Path) -> None:
    plugin = find("turn", "silence")
    async with plugin.open(plugin.options(), ModelStore(tmp_path)) as turn:
        assert await turn.judge(PauseContext(silence(16_000), text, "en", 3_200)) == 0.5
