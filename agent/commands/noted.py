"""Tables of which each row has a note below it: words that would not fit beside the rest."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text


def print_noted(console: Console, table: Table, notes: Sequence[RenderableType]) -> None:
    """Print a table without a box or a title, and under each row its note.

    A note that is a bare text forgets how it is cut off: put it into a padding.
    """
    with console.capture() as rendered:
        console.print(table)
    heading, *rows = rendered.get().splitlines()
    console.print(Text.from_ansi(heading))
    for row, note in zip(rows, notes, strict=True):
        console.print(Text.from_ansi(row))
        console.print(note)
