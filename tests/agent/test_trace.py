"""Turns are kept, and keeping them never holds up a call."""

from __future__ import annotations

import argparse
import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from agent.commands import turns
from agent.errors import NotPossible
from agent.timeline import Timeline, TurnRecord
from agent.trace import WAITING, open_traces, read


def record(turn: int = 1, call: str = "c1", profile: str = "ada", hour: int = 10) -> TurnRecord:
    timeline = Timeline(call, turn, profile, started_at=f"2026-01-01T{hour:02}:00:00+00:00")
    timeline.user_text, timeline.reply_text = "what time is it", "It is ten o'clock."
    timeline.mark("speech_end", 100.0)
    timeline.mark("endpoint", 100.2)
    timeline.mark("playout_first", 100.5)
    timeline.ear(100.56)
    return timeline.record()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "turns.sqlite"


async def test_what_was_put_is_read_back_whole_and_in_order(path: Path) -> None:
    kept = [record(turn) for turn in range(1, 6)]
    async with open_traces(path) as traces:
        for one in kept:
            traces.put(one)
    assert read(path) == kept
    assert traces.dropped == traces.lost == 0


async def test_a_record_that_comes_again_replaces_the_first(path: Path) -> None:
    async with open_traces(path) as traces:
        traces.put(record())
        traces.put(replace(record(), heard_text="It is ten"))
    assert [one.heard_text for one in read(path)] == ["It is ten"]


async def test_a_store_of_before_the_end_of_a_line_was_told_apart_still_reads(path: Path) -> None:
    async with open_traces(path) as traces:
        traces.put(replace(record(), interrupted=True))
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE turns SET record = json_remove(record, '$.line_ended')")
    assert read(path) == [replace(record(), interrupted=True)]


async def test_a_store_of_before_the_event_loop_was_watched_still_reads(path: Path) -> None:
    async with open_traces(path) as traces:
        traces.put(record())
    with closing(sqlite3.connect(path)) as database, database:
        older = "json_remove(record, '$.event_loop', '$.cut_in')"
        database.execute(f"UPDATE turns SET record = {older}")
    assert read(path) == [record()]


async def test_turns_are_chosen_by_time_character_and_call(path: Path) -> None:
    async with open_traces(path) as traces:
        for turn, hour in enumerate(range(8, 14)):
            traces.put(record(turn, "c1" if turn < 3 else "c2", "ada" if turn % 2 else "bo", hour))
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert [one.turn for one in read(path, since=noon)] == [4, 5]
    assert [one.turn for one in read(path, profile="ada")] == [1, 3, 5]
    assert [one.turn for one in read(path, call="c1")] == [0, 1, 2]
    assert [one.turn for one in read(path, limit=2)] == [4, 5]
    assert [one.turn for one in read(path, call="c2", profile="ada", limit=1)] == [5]


def test_where_nothing_was_kept_there_is_nothing_to_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTWORD_STATE", str(path.parent))
    assert read() == []
    with pytest.raises(NotPossible, match="There is no store of turns at"):
        read(path)  # who names one expects it there


def test_a_store_that_may_not_be_looked_at_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 100) / "turns.sqlite"
    with pytest.raises(NotPossible, match=f"{path} cannot be read: File name too long.$"):
        read(path)


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match=f"^{tmp_path} is a folder, and no store of turns.$"):
        read(tmp_path)


async def test_a_record_that_was_spoilt_is_told_in_one_sentence(path: Path) -> None:
    async with open_traces(path) as traces:
        traces.put(record())
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE turns SET record = json_set(record, '$.turn', 'first')")
    with pytest.raises(NotPossible) as caught:
        read(path)
    assert str(caught.value).startswith(f"The turns in {path} cannot be read: in a record, 'turn'")
    assert "\n" not in str(caught.value)


async def test_two_agents_share_one_store(path: Path) -> None:
    async with open_traces(path) as one, open_traces(path) as other:
        one.put(record(1, "c1"))
        other.put(record(1, "c2"))
    assert {kept.call for kept in read(path)} == {"c1", "c2"}


async def test_too_many_at_once_refuse_the_newest_and_count(path: Path) -> None:
    async with open_traces(path) as traces:
        for turn in range(WAITING + 5):  # no await: the writer has no turn to take any
            traces.put(record(turn))
        assert traces.dropped == 5
    assert len(read(path, limit=2 * WAITING)) == WAITING


async def test_a_cancelled_agent_keeps_its_last_turns(path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with open_traces(path) as traces:
            traces.put(record())
            scope.cancel()
            await anyio.sleep_forever()
    assert len(read(path)) == 1


GO_ON = "Calls go on, and each turn tries again; FIRSTWORD_STATE names another folder."


async def test_a_broken_database_costs_one_warning_and_no_call(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(path)
    with caplog.at_level(logging.WARNING):
        async with open_traces(path) as traces:
            traces.put(record(1))
            await anyio.wait_all_tasks_blocked()
            traces.put(record(2))
    assert traces.lost == 2
    sentences = [entry.getMessage() for entry in caplog.records]
    assert sentences == [f"Turns are not kept: {path}: file is not a database. {GO_ON}"]
    with pytest.raises(NotPossible, match=r"cannot be read: file is not a database"):
        read(path)


@pytest.mark.parametrize("folder", ["file", "file/below"])
async def test_a_folder_that_cannot_be_made_is_told_at_the_start_and_costs_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, folder: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    async with open_traces(tmp_path / folder / "turns.sqlite") as traces:
        await anyio.wait_all_tasks_blocked()
        told = [entry.getMessage() for entry in caplog.records]
        assert told == [f"Turns are not kept: {tmp_path / folder}: Not a directory. {GO_ON}"]
        traces.put(record())
    assert traces.lost == 1
    assert len(caplog.records) == 1


async def test_a_folder_that_is_put_right_while_calls_go_on_takes_the_turns_that_follow(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state" / "turns.sqlite"
    path.parent.write_text("in the way")
    async with open_traces(path) as traces:
        traces.put(record(1))
        await anyio.wait_all_tasks_blocked()
        path.parent.unlink()
        traces.put(record(2))
    assert [kept.turn for kept in read(path)] == [2]


async def test_a_locked_database_is_waited_for_and_then_given_up(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_traces(path) as traces:
        traces.put(record(1))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with open_traces(path) as traces:
            traces.put(record(2))
        other.execute("ROLLBACK")
    assert traces.lost == 1
    assert "database is locked" in caplog.text
    assert len(read(path)) == 1


async def test_a_store_of_a_later_version_is_left_alone(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    async with open_traces(path) as traces:
        traces.put(record())
    assert "later version of FirstWord" in caplog.text
    with pytest.raises(NotPossible, match="later version"):
        read(path)


def spoil(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database " * 100)


# --- the command ----------------------------------------------------------------------------


def run(path: Path | None, *arguments: str) -> None:
    parser = argparse.ArgumentParser()
    turns.add(parser)
    named = [] if path is None else ["--database", str(path)]
    turns.run(parser.parse_args([*named, *arguments]))


async def filled(path: Path) -> None:
    async with open_traces(path) as traces:
        traces.put(record(1))
        traces.put(record(2, profile="bo"))


async def test_the_command_lists_turns_with_their_spans(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await filled(path)
    run(path)
    shown = capsys.readouterr().out
    for word in ("ada", "bo", "endpoint", "playout", "ear", "560", "what time is it"):
        assert word in shown


async def test_the_command_shows_records_as_json(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await filled(path)
    run(path, "--json", "--profile", "bo", "--since", "2026-01-01")
    (shown,) = json.loads(capsys.readouterr().out)
    assert TurnRecord.from_dict(shown) == record(2, profile="bo")


def test_the_command_says_when_there_is_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIRSTWORD_STATE", str(path.parent))
    run(None)
    assert "No turns were kept yet" in capsys.readouterr().out
    run(None, "--json")
    assert json.loads(capsys.readouterr().out) == []


def test_the_command_refuses_a_time_it_cannot_read(path: Path) -> None:
    with pytest.raises(NotPossible, match="'yesterday' is no time"):
        run(path, "--since", "yesterday")
    with pytest.raises(NotPossible, match="at least 1"):
        run(path, "--limit", "0")
