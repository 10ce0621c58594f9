"""Memories on disk: one row a person and character, sealed as voice prints are, or not kept.

Neither the words nor whose they are lie there in clear. A row is opened only with the key of the
voices, and only in its own place: one that was changed or moved is noticed, and not used.
"""

from __future__ import annotations

import hmac
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from agent.errors import NotPossible
from agent.memory.record import Exchange, Memory, is_over
from agent.sealing import Key
from agent.trace import state_folder

BUSY_MS = 1_000
"""How long a write waits for another process that holds the database."""
MOST = 1_000
"""Memories that are kept; a new one more is refused."""

_VERSION = 1
_TABLE = """
    CREATE TABLE memories (
        person TEXT NOT NULL,      -- keyed hash of the name
        character TEXT NOT NULL,   -- keyed hash of the profile's id
        sealed BLOB NOT NULL,      -- a Memory as JSON, encrypted and signed
        PRIMARY KEY (person, character)
    )
"""

Change = Callable[[Memory | None], Memory | None]
"""From what is remembered to what is to be; none: it stays as it is."""


class UnreadableMemory(NotPossible):
    """A memory cannot be opened: it was changed, or the key was."""

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__(
            f"What is remembered in {file} cannot be trusted: it was changed, or belongs to"
            " another key. Nothing of it is used. Bring the old key back, or begin anew with:"
            " firstword memory forget --all"
        )


class MemoryBook:
    """The memories of a machine. Every method works on the disk: call it in a thread.

    Each raises ``NotPossible``, with a sentence, where the disk or the key is not as it must be.

    Args:
        folder: where they lie; the state folder if not given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or state_folder()
        self.file = self.folder / "memory.sqlite"
        self._key = Key(self.folder)

    def all(self, name: str = "") -> list[Memory]:
        """Return what is remembered, by person and character; of one person with a name."""
        now = datetime.now(UTC)
        rows = self._read("SELECT person, character, sealed FROM memories")
        memories = [self._opened(*row) for row in rows]
        found = [one for one in memories if name in ("", one.name) and not is_over(one, now)]
        return sorted(found, key=lambda one: (one.name, one.profile))

    def get(self, name: str, profile: str) -> Memory | None:
        """Return what one character remembers of one person."""
        if not self._there():
            return None
        place = self._place(self._needed_key(), name, profile)
        query = "SELECT person, character, sealed FROM memories WHERE person = ? AND character = ?"
        for row in self._read(query, *place):
            memory = self._opened(*row)
            return None if is_over(memory, datetime.now(UTC)) else memory
        return None

    def change(self, name: str, profile: str, change: Change) -> None:
        """Change what one character remembers of one person; nobody else writes meanwhile.

        Args:
            name: of the person.
            profile: id of the character.
            change: told what is remembered now, if anything.
        """
        with self._writing() as database:
            key = self._key.get() or self._key.make()
            place = self._place(key, name, profile)
            query = "SELECT sealed FROM memories WHERE person = ? AND character = ?"
            row = database.execute(query, place).fetchone()
            before = self._opened(*place, row[0]) if row else None
            if before is not None and is_over(before, datetime.now(UTC)):
                before = None
            after = change(before)
            if after is None:
                return
            if row is None and _count(database) >= MOST:
                raise NotPossible(f"{MOST} memories are kept already; forget one first.")
            sealed = Fernet(key).encrypt(json.dumps(asdict(after)).encode())
            database.execute("INSERT OR REPLACE INTO memories VALUES (?, ?, ?)", (*place, sealed))

    def forget(self, name: str) -> int:
        """Remove what every character remembers of a person; return how many did."""
        if not self._there():
            return 0
        person, _ = self._place(self._needed_key(), name, "")
        with self._writing() as database:
            return database.execute("DELETE FROM memories WHERE person = ?", [person]).rowcount

    def forget_all(self) -> None:
        """Remove everything, readable or not."""
        if not self._there():
            return
        try:
            with self._writing() as database:
                database.execute("DELETE FROM memories")
        except NotPossible:  # it is no database of ours: then it is no loss
            for ending in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    os.unlink(f"{self.file}{ending}")

    def purge(self) -> None:
        """Remove what is so old that it is to be forgotten."""
        if not self._there():
            return
        now = datetime.now(UTC)
        with self._writing() as database:
            rows = database.execute("SELECT person, character, sealed FROM memories").fetchall()
            over = [row[:2] for row in rows if is_over(self._opened(*row), now)]
            database.executemany("DELETE FROM memories WHERE person = ? AND character = ?", over)

    # --- the key ----------------------------------------------------------------------------

    def _needed_key(self) -> bytes:
        key = self._key.get()
        if key is None:
            raise UnreadableMemory(self.file)
        return key

    def _place(self, key: bytes, name: str, profile: str) -> tuple[str, str]:
        """Return where a memory stands: names are hashed, so that they do not lie in clear."""
        person = hmac.digest(key, f"person\0{name}".encode(), "sha256").hex()
        character = hmac.digest(key, f"character\0{profile}".encode(), "sha256").hex()
        return person, character

    def _opened(self, person: str, character: str, sealed: bytes) -> Memory:
        key = self._needed_key()
        try:
            memory = _memory(json.loads(Fernet(key).decrypt(sealed)))
        except (InvalidToken, ValueError, TypeError, KeyError) as error:
            raise UnreadableMemory(self.file) from error
        if self._place(key, memory.name, memory.profile) != (person, character):
            raise UnreadableMemory(self.file)
        return memory

    # --- the disk ---------------------------------------------------------------------------

    def _there(self) -> bool:
        try:
            return self.file.exists()
        except OSError as error:  # a folder that may not be looked into
            reason = f"cannot be read: {error.strerror}."
            raise NotPossible(f"What is remembered in {self.file} {reason}") from error

    def _read(self, query: str, *values: str) -> list[Any]:
        if not self._there():
            return []
        address = f"{self.file.resolve().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=BUSY_MS / 1000)) as database:
                self._check(database)
                return database.execute(query, values).fetchall() if _version(database) else []
        except (sqlite3.Error, OSError) as error:
            raise NotPossible(f"What is remembered in {self.file} cannot be read: {error}.") from (
                error
            )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Open the database for one transaction."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with suppress(FileExistsError):
                os.close(os.open(self.file, os.O_CREAT | os.O_EXCL, 0o600))
            with closing(_opened(self.file)) as database:
                database.execute("BEGIN IMMEDIATE")
                with database:  # commits, or rolls back
                    self._check(database)
                    if not _version(database):
                        database.execute(_TABLE)
                        database.execute(f"PRAGMA user_version = {_VERSION}")
                    yield database
                with suppress(sqlite3.OperationalError):  # somebody reads: next time then
                    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (sqlite3.Error, OSError) as error:
            raise NotPossible(f"{self.file} cannot be written: {error}.") from error

    def _check(self, database: sqlite3.Connection) -> None:
        if _version(database) > _VERSION:
            raise sqlite3.DatabaseError("it was written by a later version of FirstWord")


def _opened(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=BUSY_MS / 1000, isolation_level=None)
    try:
        with suppress(sqlite3.OperationalError):  # another process is just doing it
            database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
    except BaseException:
        database.close()
        raise
    return database


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _count(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT COUNT(*) FROM memories").fetchone()[0])


def _memory(said: dict[str, Any]) -> Memory:
    lists = {field: tuple(Exchange(**one) for one in said[field]) for field in ("turns", "fallen")}
    return Memory(**(said | lists))
