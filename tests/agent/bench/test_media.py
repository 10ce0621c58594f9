"""The media benchmark measures a real server process."""

from __future__ import annotations

import math

import pytest

from agent.bench import media


@pytest.mark.timeout(60)
async def test_a_short_measurement_gives_every_figure() -> None:
    delays, loads = await media.measure(calls=(2,), probes=3, seconds=0.5)
    for median, high in (
        delays.spoken_to_server,
        delays.sent_to_server,
        delays.server_to_audible,
        delays.flush_to_silence,
        delays.click_to_connected,
    ):
        assert not math.isnan(median)
        assert median <= high
    assert [load.calls for load in loads] == [2]
    assert loads[0].cpu > 0
    assert loads[0].received > 0
