"""Which turns a report is about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.errors import NotPossible
from agent.report import select
from agent.report.select import without_words
from agent.trace import open_traces
from tests.agent.report.turns import turn


@pytest.fixture
async def database(tmp_path: Path) -> Path:
    """Return a store with two turns of robin and one of wren."""
    path = tmp_path / "turns.sqlite"
    async with open_traces(path) as traces:
        for record in (turn(1), turn(2), turn(3, profile="wren")):
            traces.put(record)
    return path


async def test_a_profile_is_enough_to_select_its_turns(database: Path) -> None:
    selection = select("wren", database)
    assert (selection.name, [r.turn for r in selection.records]) == ("wren", [3])


async def test_conditions_can_be_combined(database: Path) -> None:
    wanted = "profile=robin,until=2026-11-23T10:00:02+00:00"
    assert [record.turn for record in select(wanted, database).records] == [1]


async def test_a_store_is_a_file_like_others(database: Path) -> None:
    assert len(select(str(database)).records) == 3


@pytest.mark.parametrize("key", ["records", "turns"])
def test_what_our_commands_print_can_be_read_again(tmp_path: Path, key: str) -> None:
    shown = [turn(1).to_dict(), turn(2).to_dict()]
    if key == "turns":  # as ``firstword call --json`` has them
        shown = [{"file": "a.flac", "timeline": each} for each in shown]
        shown.append({"file": "b.flac", "timeline": None})
    file = tmp_path / "run.json"
    file.write_text(json.dumps({key: shown}))
    assert select(str(file)).records == (turn(1), turn(2))
    assert select(str(file)).name == "run"


def test_what_was_said_can_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps([turn(1).to_dict()]))
    [silent] = without_words(select(str(file))).records
    assert (silent.user_text, silent.reply_text) == ("", "")
    assert silent.spans == turn(1).spans


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("gone.json", "There is no file 'gone.json'."),
        ("colour=red", "'colour' cannot be asked for; there are: profile, since, until, call."),
        ("since=soon", "'soon' is no time"),
    ],
)
def test_what_cannot_be_selected_is_said(wanted: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(NotPossible) as caught:
        select(wanted, tmp_path / "none.sqlite")
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"hello\n", "it is no JSON, line 1: Expecting value"),
        (b"RIFF\x80", "it is neither JSON nor a store of turns"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'[{"call": "a", "turn": "x"}]', "in a record, 'turn' is wrong: Input should be a valid"),
    ],
)
def test_why_a_file_holds_no_turns_is_one_sentence(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(content)
    with pytest.raises(NotPossible) as caught:
        select(str(file))
    assert str(caught.value).startswith(f"{file} holds no turns that can be read: {reason}")
    assert "\n" not in str(caught.value)


def test_a_file_that_holds_no_turns_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text('[{"name": "no turn"}]')
    with pytest.raises(NotPossible, match="holds no turns that can be read"):
        select(str(file))
