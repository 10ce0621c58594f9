"""How an agent bore its calls: the difference of two looks at its metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.bench.load import between, look, taken
from agent.errors import NotPossible
from agent.metrics import Metrics


def test_what_lay_between_two_looks_is_told() -> None:
    metrics = Metrics()
    metrics.loop.woke(0.3)  # before: does not count
    before = taken(metrics.text().decode(), at=0.0)
    for late in (0.0, 0.001, 0.02, 0.08):
        metrics.loop.woke(late)
    load = between(before, taken(metrics.text().decode(), at=2.0))
    assert (load.late_share, load.stalls, load.worst_ms) == (0.5, 1, 300.0)
    assert "50.0% of its event loop's wake-ups 10 ms late or more (1 of them 50 ms" in str(load)
    assert load.to_dict()["stalls"] == 1
    assert f"its callers {load.callers:.2f}" in str(load)


def test_an_agent_without_a_wake_up_was_never_late() -> None:
    only = taken(Metrics().text().decode(), at=1.0)
    load = between(only, only)
    assert (load.late_share, load.stalls, load.cores) == (0.0, 0, 0.0)


def test_the_callers_are_told_apart_from_the_agent() -> None:
    before = taken(Metrics().text().decode(), at=0.0)
    busy = replace(before, at=4.0, cpu=before.cpu + 3.0, own=before.own + 1.0)
    load = between(before, busy)
    assert (load.cores, load.callers) == (0.75, 0.25)


async def test_nobody_there_is_a_sentence() -> None:
    with pytest.raises(NotPossible, match=r"The agent at http://127.0.0.1:9/ shows no figures"):
        await look("http://127.0.0.1:9/")
