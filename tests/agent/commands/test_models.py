"""``firstword models`` as its user sees it."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from agent.commands import models
from stages.models import File, Hub, Model, ModelStore
from tests.stages.toys import WEIGHTS, sha256, store_of


def test_one_model_is_ready_and_two_are(tmp_path: Path) -> None:
    held = io.StringIO()
    file = File("weights.bin", "weights.bin", len(WEIGHTS), sha256(WEIGHTS))
    toys = [Model(name, "", "MIT", Hub("huggingface", "a/b", "1"), (file,)) for name in ("a", "b")]
    for toy in toys:
        (tmp_path / toy.name).mkdir()
        (tmp_path / toy.name / file.name).write_bytes(WEIGHTS)
    for names in (["a"], ["a", "b"]):
        models.bring(store_of(tmp_path, *toys), names, Console(file=held, width=200))
    told = [line for line in held.getvalue().splitlines() if "ready" in line]
    assert told == [f"1 model is ready in {tmp_path}", f"2 models are ready in {tmp_path}"]


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
