"""``firstword turns`` in a terminal of the usual width, and in a wide one."""

from __future__ import annotations

import pytest
from rich.console import Console

from agent.commands import turns
from tests.agent.report.turns import turn


def test_at_eighty_columns_every_time_is_whole_and_the_words_lie_below(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "a question that goes on and on, as some do " * 4
    turns.show(Console(width=80), [turn(1), turn(2, user_text=long, error="llm: no")])
    heading, first, words, *rest = capsys.readouterr().out.splitlines()
    assert heading.split() == [
        "time", "turn", "endpoint", "asr", "llm", "clause", "tts", "playout", "ear", "total"
    ]  # fmt: skip
    assert first.split()[2:] == ["1", "300", "50", "100", "50", "60", "10", "30", "600"]
    assert words == "    robin: what time is it → It is noon."
    assert rest[1].endswith("…")
    assert all(len(line) <= 80 for line in (heading, first, words, *rest))


def test_in_a_wide_terminal_the_words_lie_beside_the_times(
    capsys: pytest.CaptureFixture[str],
) -> None:
    turns.show(Console(width=200), [turn(1)])
    [row] = [line for line in capsys.readouterr().out.splitlines() if "what time is it" in line]
    assert "It is noon." in row
    assert "600" in row


def test_no_turns_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    turns.show(Console(width=80), [])
    assert capsys.readouterr().out == "No turns were kept yet, or none like these.\n"
