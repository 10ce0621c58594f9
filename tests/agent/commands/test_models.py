"""``firstword models`` as its user sees it."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from agent.commands import models
from stages.models import ModelStore


def test_in_80_columns_every_name_is_whole(tmp_path: Path) -> None:
    store, held = ModelStore(tmp_path), io.StringIO()
    models.show_all(store, Console(file=held, width=80))
    lines = held.getvalue().splitlines()
    assert "…" not in held.getvalue()
    assert max(map(len, lines[:-1])) <= 80  # the last says where they lie
    words = {word.strip(";") for line in lines for word in line.split()}
    for model in store.catalogue.values():
        wanted = f"{model.name} {model.licence} {model.source} {model.summary}".split()
        assert set(wanted) <= words
        [row] = [line for line in lines if line.startswith(f"{model.name} ")]
        assert (f"{model.size / 1e6:.1f}" if model.files else " ? ") in row
