"""``firstword memory``: what is remembered of known callers: show it, take it along, forget it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agent.commands.verbs import verb
from agent.errors import NotPossible
from agent.memory.record import Memory
from agent.memory.shown import exported
from agent.memory.store import MemoryBook
from agent.sealing import write_private

NOTHING = "Nothing is remembered. A profile with 'memory: {keep: true}' does: docs/memory.md"


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    verb(verbs, "list", "show of whom something is remembered, and how much")
    show = verb(verbs, "show", "show what is remembered of a person")
    export = verb(verbs, "export", "write all that is remembered of a person as JSON")
    forget = verb(verbs, "forget", "remove what is remembered, for good; voices stay known")
    for one in (show, export):
        one.add_argument("name", metavar="NAME", help="the person's, as enrolled")
    export.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="where to (default: it is printed)"
    )
    forget.add_argument("name", nargs="?", metavar="NAME", help="whose; or --all")
    forget.add_argument("--all", action="store_true", help="forget everybody")


def run(options: argparse.Namespace) -> int:
    """Do what was asked.

    Raises:
        NotPossible: nothing is remembered of that name, or what is kept cannot be read.
    """
    book, out = MemoryBook(), Console(soft_wrap=True, highlight=False)
    match options.verb:
        case "list":
            _list(book, out)
        case "show":
            for memory in _of(book, options.name):
                _show(memory, out)
        case "export":
            _export(book, options.name, options.file, out)
        case _:
            _forget(book, options.name, options.all, out)
    return 0


def _list(book: MemoryBook, out: Console) -> None:
    memories = book.all()
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "CHARACTER", "TURNS", "SUMMED UP", "DROPPED", "SINCE", "LATEST"):
        table.add_column(heading, no_wrap=True)
    for one in memories:
        counts = (len(one.turns) + len(one.fallen), one.summed, one.dropped)
        dates = (one.since[:10], one.latest[:10])
        table.add_row(one.name, one.profile, *map(str, counts), *dates)
    out.print(table if memories else NOTHING)


def _show(memory: Memory, out: Console) -> None:
    out.print(f"{memory.profile} remembers of {memory.name}", markup=False, style="bold")
    gone = memory.summed + memory.dropped
    if memory.summary:
        said = f"summary of {memory.summed} turns, by the character's own model: {memory.summary}"
        out.print(said, markup=False)
    if memory.dropped:
        out.print(f"of {memory.dropped} of {gone} older turns nothing is left")
    for one in (*memory.fallen, *memory.turns):
        cut = " (interrupted)" if one.cut else ""
        out.print(f"{one.at[:16]}  they said: {one.caller}", markup=False)
        out.print(f"{'':16}  heard: {one.reply}{cut}", markup=False)
    out.print("")


def _export(book: MemoryBook, name: str, file: Path | None, out: Console) -> None:
    text = json.dumps(exported(name, _of(book, name)), ensure_ascii=False, indent=2)
    if file is None:
        out.print(text, markup=False)
        return
    try:
        write_private(file, f"{text}\n".encode())
    except OSError as error:
        raise NotPossible(f"{file} cannot be written: {error.strerror}.") from error
    out.print(f"What is remembered of {name} is in {file}.", markup=False)


def _forget(book: MemoryBook, name: str | None, everybody: bool, out: Console) -> None:
    if everybody == bool(name):
        raise NotPossible("Name who is to be forgotten, or say --all.")
    if name is None:
        book.forget_all()
        out.print("Nothing is remembered any more.")
        return
    if not book.forget(name):
        raise _nothing(name)
    out.print(f"What was remembered of {name} is gone; the voice is still known.", markup=False)


def _of(book: MemoryBook, name: str) -> list[Memory]:
    found = book.all(name)
    if not found:
        raise _nothing(name)
    return found


def _nothing(name: str) -> NotPossible:
    return NotPossible(f"Nothing is remembered of anybody called {name!r}.")
