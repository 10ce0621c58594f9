"""Memories on disk: sealed, each in its own place, gone when forgotten."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.errors import NotPossible
from agent.memory.record import Memory, exchange
from agent.memory.store import MOST, MemoryBook, UnreadableMemory
from agent.speakers import SpeakerBook
from tests.agent.test_speakers import one

NOW = datetime.now(UTC).isoformat(timespec="seconds")


def remembered(name: str = "Anna", profile: str = "fox", said: str = "my pin is 42") -> Memory:
    turn = exchange("c1", 1, NOW, (said, "I see."), False)
    return Memory(name, profile, "m1", NOW, NOW, 90, "Likes tea.", (turn,))


def put(book: MemoryBook, memory: Memory) -> None:
    book.change(memory.name, memory.profile, lambda before: memory)


@pytest.fixture
def book(tmp_path: Path) -> MemoryBook:
    return MemoryBook(tmp_path / "state")


def test_what_is_put_is_read_again_by_person_and_character(book: MemoryBook) -> None:
    assert book.all() == []
    assert book.get("Anna", "fox") is None
    for memory in (remembered("晓明"), remembered("Anna", "owl"), remembered("Anna", "fox")):
        put(book, memory)
    assert book.get("Anna", "owl") == remembered("Anna", "owl")
    assert [(each.name, each.profile) for each in book.all()] == [
        ("Anna", "fox"), ("Anna", "owl"), ("晓明", "fox"),
    ]  # fmt: skip
    assert [each.profile for each in book.all("Anna")] == ["fox", "owl"]


def test_a_change_is_told_what_was_there_and_may_leave_it(book: MemoryBook) -> None:
    put(book, remembered())
    seen: list[Memory | None] = []
    book.change("Anna", "fox", lambda before: seen.append(before))
    assert seen == [remembered()]
    assert book.all() == seen


def test_neither_words_nor_names_lie_on_disk_in_clear_and_only_the_owner_reads_them(
    book: MemoryBook,
) -> None:
    put(book, remembered("Annabelle", "foxglove", "my pin is four two"))
    files = list(book.folder.iterdir())
    everything = b"".join(file.read_bytes() for file in files)
    for secret in (b"Annabelle", b"foxglove", b"four two", b"Likes tea", NOW.encode()):
        assert secret not in everything
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_who_is_forgotten_is_gone_with_every_character(book: MemoryBook) -> None:
    for memory in (remembered("Anna", "fox"), remembered("Anna", "owl"), remembered("Bo")):
        put(book, memory)
    assert book.forget("Anna") == 2
    assert book.forget("Anna") == 0
    assert [each.name for each in book.all()] == ["Bo"]
    book.forget_all()
    assert book.all() == []


def test_a_voice_that_is_deleted_takes_its_memory_along(book: MemoryBook) -> None:
    speakers = SpeakerBook(book.folder)
    speakers.put(one("Anna"))
    speakers.put(one("Bo", at=1))
    for name in ("Anna", "Bo"):
        put(book, remembered(name))
    speakers.forget("Anna")
    assert [each.name for each in book.all()] == ["Bo"]
    speakers.forget_all()
    assert book.all() == []
    assert not speakers.key_file.exists()


def test_a_row_that_was_moved_to_another_person_is_noticed(book: MemoryBook) -> None:
    put(book, remembered("Anna"))
    put(book, remembered("Bo"))
    with closing(sqlite3.connect(book.file)) as database, database:
        [anna, bo] = [row[0] for row in database.execute("SELECT sealed FROM memories")]
        database.execute("UPDATE memories SET sealed = ? WHERE sealed = ?", (bo, anna))
    with pytest.raises(UnreadableMemory, match="cannot be trusted: it was changed"):
        book.get("Anna", "fox")
    with pytest.raises(UnreadableMemory):
        book.all()


def test_a_changed_byte_and_another_key_are_noticed_and_nothing_is_overwritten(
    book: MemoryBook,
) -> None:
    put(book, remembered())
    key_file = book.folder / "speakers.key"
    key = key_file.read_bytes()
    key_file.unlink()
    with pytest.raises(UnreadableMemory, match="belongs to another key"):
        book.get("Anna", "fox")
    with pytest.raises(UnreadableMemory):
        book.forget("Anna")
    key_file.write_bytes(key)
    with closing(sqlite3.connect(book.file)) as database, database:
        [sealed] = database.execute("SELECT sealed FROM memories").fetchone()
        changed = sealed[:40] + bytes([sealed[40] ^ 1]) + sealed[41:]
        database.execute("UPDATE memories SET sealed = ?", [changed])
    with pytest.raises(UnreadableMemory):
        put(book, remembered(said="something else"))
    book.forget_all()  # what nobody can read can be thrown away all the same
    assert book.all() == []


def test_what_is_too_long_ago_is_as_forgotten(book: MemoryBook) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=91)).isoformat()
    put(book, replace(remembered(), latest=long_ago))
    put(book, remembered("Bo"))
    assert book.get("Anna", "fox") is None
    assert [each.name for each in book.all()] == ["Bo"]
    seen: list[Memory | None] = []
    book.change("Anna", "fox", lambda before: seen.append(before))
    assert seen == [None]
    book.purge()
    with closing(sqlite3.connect(book.file)) as database:
        assert database.execute("SELECT COUNT(*) FROM memories").fetchone() == (1,)


def test_a_bounded_number_is_kept(book: MemoryBook) -> None:
    put(book, remembered())
    with closing(sqlite3.connect(book.file)) as database, database:
        rows = [(str(number), "", b"") for number in range(MOST - 1)]
        database.executemany("INSERT INTO memories VALUES (?, ?, ?)", rows)
    with pytest.raises(NotPossible, match="1000 memories are kept already; forget one first"):
        put(book, remembered("Bo"))
    put(book, remembered("Anna", said="what is there may change"))


def test_a_folder_that_may_not_be_looked_into_is_a_sentence(tmp_path: Path) -> None:
    book = MemoryBook(tmp_path / ("long" * 100))  # as little to be seen as one of somebody else's
    for work in (
        book.all,
        book.purge,
        book.forget_all,
        lambda: book.get("Anna", "bare"),
        lambda: book.forget("Anna"),
        lambda: put(book, remembered()),
    ):
        with pytest.raises(NotPossible, match=r"memory.sqlite cannot be .*File name too long"):
            work()


def test_files_that_cannot_be_are_sentences(book: MemoryBook, tmp_path: Path) -> None:
    put(book, remembered())
    with closing(sqlite3.connect(book.file)) as database:
        database.execute("PRAGMA user_version = 9")
    for work in (book.all, lambda: put(book, remembered())):
        with pytest.raises(NotPossible, match="written by a later version of FirstWord"):
            work()
    book.file.write_bytes(b"no database" * 500)
    with pytest.raises(NotPossible, match=r"cannot be read: file is not a database"):
        book.all()
    book.forget_all()
    assert not book.file.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(NotPossible, match=r"(cannot be written|cannot be read)"):
        put(MemoryBook(tmp_path / "file" / "state"), remembered())
