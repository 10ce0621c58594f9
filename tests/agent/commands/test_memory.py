"""``firstword memory`` in a process of its own, as a user runs it."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from agent.memory.store import MemoryBook
from tests.agent.commands.running import Run, firstword
from tests.agent.memory.test_store import put, remembered

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def book(tmp_path: Path) -> MemoryBook:
    book = MemoryBook(tmp_path / "state")
    put(book, replace(remembered("Anna", "fox"), summed=3, dropped=2))
    put(book, remembered("Bo [bold]", "owl"))
    return book


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return partial(firstword, tmp_path / "state", "memory")


def test_what_is_remembered_is_listed_shown_and_forgotten(run: Run, book: MemoryBook) -> None:
    listed = run("list").stdout.splitlines()
    assert listed[0].split() == [
        "NAME", "CHARACTER", "TURNS", "SUMMED", "UP", "DROPPED", "SINCE", "LATEST",
    ]  # fmt: skip
    assert listed[1].split()[:5] == ["Anna", "fox", "1", "3", "2"]
    shown = run("show", "Anna").stdout
    assert "summary of 3 turns, by the character's own model: Likes tea." in shown
    assert "of 2 of 5 older turns nothing is left" in shown
    assert "they said: my pin is 42" in shown
    assert "Bo [bold]" in run("show", "Bo [bold]").stdout
    assert "the voice is still known" in run("forget", "Anna").stdout
    again = run("forget", "Anna")
    assert again.returncode == 2
    assert again.stderr == "firstword: Nothing is remembered of anybody called 'Anna'.\n"
    assert run("show", "Anna").returncode == 2
    assert run("forget", "--all").returncode == 0
    assert "Nothing is remembered." in run("list").stdout


def test_it_is_taken_along_as_json_that_only_its_owner_reads(
    run: Run, book: MemoryBook, tmp_path: Path
) -> None:
    file = tmp_path / "anna.json"
    assert run("export", "Anna", file).returncode == 0
    taken = json.loads(file.read_text())
    assert taken == json.loads(run("export", "Anna").stdout)
    assert taken["name"] == "Anna"
    assert taken["memories"][0]["turns"][0]["caller"] == "my pin is 42"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    done = run("export", "Anna", tmp_path / "nowhere" / "anna.json")
    assert done.returncode == 2
    assert "cannot be written: No such file or directory." in done.stderr


def test_whoever_is_to_be_forgotten_is_named(run: Run) -> None:
    for arguments in (("forget",), ("forget", "Anna", "--all")):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (
            2, "firstword: Name who is to be forgotten, or say --all.\n",
        )  # fmt: skip
    assert run("forget", "Anna").returncode == 2
    assert "Nothing is remembered. A profile with" in run("list").stdout
