"""Benchmarks that are told to measure nothing."""

from __future__ import annotations

import pytest

from agent.__main__ import run


@pytest.mark.parametrize(
    "asked",
    [
        ["latency", "--turns", "0"],
        ["overhead", "--calls", "1", "0"],
        ["overhead", "--turns", "-1"],
        ["media", "--calls", "0"],
        ["media", "--probes", "0"],
        ["media", "--seconds", "0"],
        ["media", "--seconds", "nan"],
    ],
)
def test_a_benchmark_of_nothing_is_a_sentence(
    asked: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *asked]) == 2
    assert "must be at least 1" in capsys.readouterr().err
