"""Keeps the records of turns in SQLite, without ever holding up a call.

A record is handed over without waiting; one worker thread writes. A database that is locked,
broken or on a full disk costs its records and one warning, at the start if it is so then, and
never a call.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from platformdirs import user_state_path
from pydantic import ValidationError

from agent.errors import NotPossible
from agent.folders import make_folder
from agent.timeline import TurnRecord
from stages.threads import Workers

WAITING = 1_000
"""Records that may wait for the disk; a newer one is refused and counted."""

KEPT = 100_000
"""Records that are kept; older ones are deleted when the store is opened."""

BUSY_MS = 1_000
"""How long a write waits for another process that holds the database."""

OPENING_S = 2.0
"""How long the start waits to hear whether the disk takes turns."""

CLOSING_S = 3.0
"""How long the last records may take at the end."""

_BATCH = 100

_MIGRATIONS = (
    (
        """
        CREATE TABLE turns (
            id INTEGER PRIMARY KEY,
            call TEXT NOT NULL,
            turn INTEGER NOT NULL,
            reply INTEGER NOT NULL,
            profile TEXT NOT NULL,
            at REAL NOT NULL,             -- seconds since 1970, of started_at
            first_response_ms REAL,
            record TEXT NOT NULL,         -- TurnRecord.to_dict() as JSON
            UNIQUE (call, turn, reply)
        )
        """,
        "CREATE INDEX turns_at ON turns (at)",
    ),
)
"""The statements that lead to each version; ``PRAGMA user_version`` counts those that were run."""

_NOT_KEPT = (
    "Turns are not kept: %s: %s. Calls go on, and each turn tries again;"
    " FIRSTWORD_STATE names another folder."
)

_log = logging.getLogger(__name__)


def state_folder() -> Path:
    """Return the folder of what FirstWord remembers: ``FIRSTWORD_STATE``, or the user's own."""
    chosen = os.environ.get("FIRSTWORD_STATE")
    return Path(chosen).expanduser() if chosen else user_state_path("firstword")


def default_path() -> Path:
    """Return where turns are kept unless told otherwise."""
    return state_folder() / "turns.sqlite"


class Traces:
    """Where a call puts its records.

    Attributes:
        dropped: records that were refused because too many waited for the disk.
        lost: records that the database did not take.
    """

    def __init__(self, sink: MemoryObjectSendStream[TurnRecord]) -> None:
        self._sink = sink
        self.dropped = self.lost = 0

    @property
    def waiting(self) -> int:
        """Records that wait for the disk."""
        return self._sink.statistics().current_buffer_used

    def put(self, record: TurnRecord) -> None:
        """Keep a record; never waits. One of the same call, turn and reply is replaced."""
        try:
            self._sink.send_nowait(record)
        except (anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self.dropped += 1


@asynccontextmanager
async def open_traces(path: Path | None = None) -> AsyncIterator[Traces]:
    """Open the store; at the end, what waits is written within ``CLOSING_S``.

    Where it cannot be opened, that is logged before the block begins, and the block goes on.

    Args:
        path: the database; none: ``default_path()``. It need not exist.
    """
    sink, source = anyio.create_memory_object_stream[TurnRecord](WAITING)
    traces, book = Traces(sink), _Book(path or default_path())
    writing = anyio.CancelScope(shield=True)  # a cancelled server still keeps its last turns
    opened = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_write, writing, source, book, traces, opened)
        try:
            with anyio.move_on_after(OPENING_S):
                await opened.wait()
            yield traces
        finally:
            sink.close()
            writing.deadline = anyio.current_time() + CLOSING_S


async def _write(
    scope: anyio.CancelScope,
    source: MemoryObjectReceiveStream[TurnRecord],
    book: _Book,
    traces: Traces,
    opened: anyio.Event,
) -> None:
    """Write records until there are no more; cancelling loses those that wait."""
    worker, warned = Workers(1), False

    async def done(work: Callable[[], None]) -> bool:
        nonlocal warned
        try:
            await worker.run(work)
        except (sqlite3.Error, OSError) as error:
            if not warned:
                _log.warning(_NOT_KEPT, *_trouble(book.path, error))
            warned = True
            return False
        return True

    with scope:
        async with source:
            await done(book.open)
            opened.set()
            async for record in source:
                batch = [record, *_waiting(source)]
                if not await done(partial(book.write, batch)):
                    traces.lost += len(batch)
            await worker.run(book.close)


def _trouble(path: Path, error: sqlite3.Error | OSError) -> tuple[Path | str, object]:
    """Return which place does not take turns, and why not."""
    if isinstance(error, OSError):
        return error.filename or path, error.strerror or error
    return path, error


def _waiting(source: MemoryObjectReceiveStream[TurnRecord]) -> list[TurnRecord]:
    batch: list[TurnRecord] = []
    while len(batch) < _BATCH:
        try:
            batch.append(source.receive_nowait())
        except (anyio.WouldBlock, anyio.EndOfStream):
            break
    return batch


class _Book:
    """The database, used by one thread at a time; what is not open is opened by a write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file, and make it where there is none."""
        self._opened()

    def write(self, batch: list[TurnRecord]) -> None:
        """Write records in one transaction; after a failure the next write opens it anew."""
        try:
            database = self._opened()
            with _transaction(database):
                database.executemany(
                    "INSERT OR REPLACE INTO turns"
                    " (call, turn, reply, profile, at, first_response_ms, record)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    map(_row, batch),
                )
        except BaseException:
            self.close()
            raise

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = _open(self.path)
        return self._database

    def close(self) -> None:
        """Let go of the file."""
        if self._database is not None:
            self._database.close()
            self._database = None


def _row(record: TurnRecord) -> tuple[object, ...]:
    shown = json.dumps(record.to_dict(), ensure_ascii=False)
    at = _seconds(record.started_at)
    who = (record.call, record.turn, record.reply, record.profile)
    return (*who, at, record.first_response_ms, shown)


def _seconds(label: str) -> float:
    try:
        return datetime.fromisoformat(label).timestamp()
    except ValueError:  # a record without a label is kept all the same
        return 0.0


def _open(path: Path) -> sqlite3.Connection:
    make_folder(path.parent)
    database = sqlite3.connect(
        path, timeout=BUSY_MS / 1000, check_same_thread=False, isolation_level=None
    )
    try:
        database.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        with suppress(sqlite3.OperationalError):  # another process is just doing it
            database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        _migrate(database, path)
        with database:
            database.execute(
                "DELETE FROM turns WHERE id <= (SELECT MAX(id) FROM turns) - ?", [KEPT]
            )
    except BaseException:
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    with _transaction(database):  # two agents may open a new store at the same moment
        version = _version(database)
        if version > len(_MIGRATIONS):
            raise sqlite3.DatabaseError(f"{path.name} was written by a later version of FirstWord")
        for statement in chain.from_iterable(_MIGRATIONS[version:]):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    with database:  # commits, or rolls back
        yield


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def read(
    path: Path | None = None,
    *,
    since: datetime | None = None,
    profile: str | None = None,
    call: str | None = None,
    limit: int = 20,
) -> list[TurnRecord]:
    """Return the latest turns, oldest first; none where nothing was kept yet.

    Args:
        path: the database; none: ``default_path()``.
        since: only turns that began then or later.
        profile: only turns of this character, by its id.
        call: only turns of this call.
        limit: turns at most.

    Raises:
        NotPossible: the database that is named is not there, or cannot be read.
    """
    named, path = path is not None, path or default_path()
    if not _there(path):
        if named:
            raise NotPossible(f"There is no store of turns at {path}.")
        return []
    found = [
        ("at >= ?", None if since is None else since.timestamp()),
        ("profile = ?", profile),
        ("call = ?", call),
    ]
    chosen = [(condition, value) for condition, value in found if value is not None]
    where = " AND ".join(["1", *(condition for condition, _ in chosen)])
    query = f"SELECT record FROM turns WHERE {where} ORDER BY at DESC, id DESC LIMIT ?"
    try:
        rows = _select(path, query, [*(value for _, value in chosen), limit])
        return [TurnRecord.from_dict(json.loads(row)) for row in reversed(rows)]
    except (sqlite3.Error, ValueError, RecursionError) as error:
        raise NotPossible(f"The turns in {path} cannot be read: {unreadable(error)}.") from error


def unreadable(error: Exception) -> str:
    """Return why records cannot be read, in the middle of a sentence."""
    match error:
        case ValidationError():
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            return f"in a record, {place!r} is wrong: {first['msg']}"
        case RecursionError():
            return "it is nested too deeply"
        case UnicodeDecodeError():
            return "it is neither JSON nor a store of turns"
        case json.JSONDecodeError():
            return f"it is no JSON, line {error.lineno}: {error.msg}"
        case _:
            return str(getattr(error, "strerror", None) or error)


def _there(path: Path) -> bool:
    try:
        if path.is_dir():
            raise NotPossible(f"{path} is a folder, and no store of turns.")
        return path.exists()
    except OSError as error:  # its folder may not be looked into
        raise NotPossible(f"The turns in {path} cannot be read: {error.strerror}.") from error


def _select(path: Path, query: str, values: list[object]) -> list[str]:
    address = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=BUSY_MS / 1000)) as database:
        version = _version(database)
        if version > len(_MIGRATIONS):
            raise sqlite3.DatabaseError("it was written by a later version of FirstWord")
        return [row[0] for row in database.execute(query, values)] if version else []
