"""Models that are pulled, kept, checked and forgotten; those in wheels: ``test_wheels.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from stages.errors import ModelCorrupt, ModelMissing, ModelPullFailed
from stages.models import (
    CATALOGUE,
    EMBEDDED,
    File,
    Hub,
    Installed,
    Model,
    ModelStore,
    default_root,
)
from tests.stages.file_server import Files, serving
from tests.stages.toys import WEIGHTS, sha256, store_of

PLACE = "/acme/toy/resolve/1/weights.bin"
SCRIPT = Path(__file__).with_name("pulling.py")


def toy(raw: bytes = WEIGHTS) -> Model:
    file = File("weights.bin", "weights.bin", len(raw), sha256(raw))
    return Model("toy", "a toy", "MIT", Hub("huggingface", "acme/toy", "1"), (file,))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    with serving(Files({PLACE: WEIGHTS})) as files:
        monkeypatch.setenv("HF_ENDPOINT", files.url)
        yield files


# --- what is there ------------------------------------------------------------------------------


async def test_a_pulled_model_is_there_and_is_not_pulled_again(tmp_path: Path, hub: Files) -> None:
    store = store_of(tmp_path, toy())
    told: list[tuple[str, int, int]] = []
    await store.pull(["toy"], lambda *news: told.append(news))
    await store.pull(["toy"])
    assert (store.path("toy") / "weights.bin").read_bytes() == WEIGHTS
    assert told[-1] == ("toy", len(WEIGHTS), len(WEIGHTS))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert len(hub.asked) == 1


def test_a_missing_model_names_the_command_that_pulls_it(tmp_path: Path) -> None:
    store = store_of(tmp_path, toy())
    with pytest.raises(ModelMissing) as caught:
        store.path("toy")
    assert str(caught.value) == (
        "The model 'toy' is not here: get it with: firstword models pull toy."
    )
    assert store.state("toy") == "missing"


def test_an_unknown_model_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="knows no such model; there are: toy"):
        store_of(tmp_path, toy()).path("toys")


async def test_a_file_that_changed_is_never_given_to_anybody(tmp_path: Path, hub: Files) -> None:
    store = store_of(tmp_path, toy())
    await store.pull(["toy"])
    file = store.path("toy") / "weights.bin"
    file.write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(ModelCorrupt, match=r"weights\.bin is not the file that FirstWord knows"):
        store.path("toy")
    assert store.state("toy") == "corrupt"
    await store.pull(["toy"])
    assert store.state("toy") == "ready"


async def test_verify_finds_what_a_date_hides(tmp_path: Path, hub: Files) -> None:
    store = store_of(tmp_path, toy())
    await store.pull(["toy"])
    file = store.path("toy") / "weights.bin"
    dates = file.stat()
    file.write_bytes(WEIGHTS[:-1] + b"!")
    os.utime(file, ns=(dates.st_atime_ns, dates.st_mtime_ns))
    assert store.state("toy") == "ready"
    with pytest.raises(ModelCorrupt):
        store.verify("toy")
    assert store.state("toy") == "corrupt"


def test_a_model_inside_a_package_of_another_version_is_missing(tmp_path: Path) -> None:
    file = File("__init__.py", "pytest/__init__.py", 1, "")
    model = Model("inside", "", "MIT", Installed("pytest", "0.0.1"), (file,))
    with pytest.raises(ModelMissing, match=r"get it with: pip install pytest==0\.0\.1"):
        store_of(tmp_path, model).path("inside")


def test_the_store_lies_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTWORD_MODELS", "/somewhere/else")
    assert default_root() == Path("/somewhere/else")
    monkeypatch.delenv("FIRSTWORD_MODELS")
    assert default_root().parts[-2:] == ("firstword", "models")


def test_the_catalogue_is_whole() -> None:
    for name, model in CATALOGUE.items():
        assert name == model.name
        assert model.files or model.listed
        assert all(len(file.sha256) == 64 for file in model.files)
    for model in map(CATALOGUE.__getitem__, EMBEDDED):
        assert model.licence in {"MIT", "Apache-2.0", "BSD-2-Clause"}
        for file in model.files:
            assert file.name.endswith((".onnx", ".ort", ".bin", ".gguf", ".wav"))  # no pickles


def test_what_comes_from_hubs_is_named_with_its_hub_and_never_brings_code() -> None:
    on_hubs = {name: model for name, model in CATALOGUE.items() if name not in EMBEDDED}
    assert {
        "paraformer-zh-streaming",
        "paraformer-zh",
        "sensevoice-small",
        "ct-punc",
        "campplus-zh-cn",
        "campplus-zh-en",
        "campplus-en-voxceleb",
    } == set(on_hubs)
    for model in on_hubs.values():
        assert str(model.source).startswith("modelscope iic/")
        assert not any(fnmatchcase("model.py", pattern) for pattern in model.listed)


# --- bad networks -------------------------------------------------------------------------------


async def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path: Path, hub: Files) -> None:
    hub.cuts = [1_000_000, 500_000]
    store = store_of(tmp_path, toy())
    await store.pull(["toy"])
    assert store.state("toy") == "ready"
    starts = [int((asked or "bytes=0-")[6:-1]) for _, asked in hub.asked]
    assert len(starts) == 3
    assert starts[0] == 0
    assert starts[1] > 0
    assert starts[2] > starts[1]


async def test_the_next_pull_goes_on_where_a_cancelled_one_was(tmp_path: Path, hub: Files) -> None:
    hub.gate.clear()
    store, grown = store_of(tmp_path, toy()), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.pull, ["toy"], lambda *news: grown.set())
        await grown.wait()
        tasks.cancel_scope.cancel()
    (kept,) = parts(tmp_path)
    assert kept > 0
    hub.gate.set()
    await store.pull(["toy"])
    assert store.state("toy") == "ready"
    assert hub.asked[-1] == (PLACE, f"bytes={kept}-")


def parts(root: Path) -> list[int]:
    """Return the sizes of what is kept for the next pull."""
    return [part.stat().st_size for part in root.rglob("*.part")]


async def test_a_server_that_cannot_resume_is_read_from_the_start(
    tmp_path: Path, hub: Files
) -> None:
    hub.cuts, hub.ranges = [1_000_000], False
    store = store_of(tmp_path, toy())
    await store.pull(["toy"])
    assert store.state("toy") == "ready"


async def test_a_file_that_is_another_one_is_thrown_away(tmp_path: Path, hub: Files) -> None:
    hub.files[PLACE] = bytes(len(WEIGHTS))
    store = store_of(tmp_path, toy())
    with pytest.raises(ModelPullFailed, match="is not the file that the catalogue knows"):
        await store.pull(["toy"])
    assert store.state("toy") == "missing"
    assert not parts(tmp_path)


async def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path, hub: Files) -> None:
    hub.files[PLACE] = WEIGHTS * 3
    with pytest.raises(ModelPullFailed, match="is larger than the catalogue says"):
        await store_of(tmp_path, toy()).pull(["toy"])


async def test_a_refusal_is_a_sentence(tmp_path: Path, hub: Files) -> None:
    hub.refusal = 503
    with pytest.raises(ModelPullFailed) as caught:
        await store_of(tmp_path, toy()).pull(["toy"])
    assert str(caught.value) == (
        "The model 'toy' could not be pulled: 127.0.0.1 answered 503;"
        " what came so far is kept, and the next pull goes on there."
    )


async def test_a_network_that_is_gone_is_a_sentence(tmp_path: Path, hub: Files) -> None:
    hub.cuts = [10] + [0] * 20
    with pytest.raises(ModelPullFailed, match="the download broke off"):
        await store_of(tmp_path, toy()).pull(["toy"])
    assert parts(tmp_path) == [10]


async def test_a_full_disk_is_a_sentence_and_keeps_what_came(tmp_path: Path, hub: Files) -> None:
    pulled = await anyio.run_process(_pulling(tmp_path, "1000000"), check=False)
    assert "there is no room for it (File too large)" in pulled.stderr.decode()
    assert parts(tmp_path) == [1_000_000]
    store = store_of(tmp_path, toy())
    await store.pull(["toy"])
    assert hub.asked[-1] == (PLACE, "bytes=1000000-")


@pytest.mark.parametrize("place", ["", ".partial", "toy"])
async def test_a_file_where_a_folder_should_be_is_said_to_be_in_the_way(
    tmp_path: Path, hub: Files, place: str
) -> None:
    root = tmp_path / "models"
    in_the_way = root / place
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("a file")
    with pytest.raises(ModelPullFailed) as caught:
        await store_of(root, toy()).pull(["toy"])
    assert f"{in_the_way} is a file, and should be a folder" in str(caught.value)


def test_where_models_should_lie_is_a_file_and_so_none_is_there(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    store = ModelStore(tmp_path / "models")
    assert all(store.state(name) == "missing" for name in CATALOGUE if name != "hibari-heart")


def _pulling(root: Path, *more: str) -> list[str]:
    return [sys.executable, str(SCRIPT), str(root), str(len(WEIGHTS)), sha256(WEIGHTS), *more]


async def test_two_processes_that_pull_at_once_bring_it_once(tmp_path: Path, hub: Files) -> None:
    hub.gate.clear()
    store = store_of(tmp_path, toy())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.run_process, _pulling(tmp_path))
        await to_thread.run_sync(hub.begun.wait)
        tasks.start_soon(store.pull, ["toy"])
        tasks.start_soon(store_of(tmp_path, toy()).pull, ["toy"])
        await anyio.wait_all_tasks_blocked()
        hub.gate.set()
    assert store.state("toy") == "ready"
    assert len(hub.asked) == 1


async def test_a_store_that_cannot_be_written_is_a_sentence(tmp_path: Path, hub: Files) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelPullFailed, match="file is a file, and should be a folder"):
        await store_of(tmp_path / "file" / "store", toy()).pull(["toy"])


# --- the command --------------------------------------------------------------------------------


@pytest.mark.model
def test_the_command_lists_and_verifies(store: ModelStore) -> None:
    command = [sys.executable, "-m", "agent", "models"]
    listed = subprocess.run([*command, "list"], capture_output=True, text=True, check=True)
    for name in EMBEDDED:
        assert name in listed.stdout
    verified = subprocess.run(
        [*command, "verify", "silero-vad"], capture_output=True, text=True, check=True
    )
    assert verified.stdout == "silero-vad: as it should be\n"


def test_the_command_says_how_to_get_a_model(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent", "models", "verify", "silero-vad"]
    env = os.environ | {"FIRSTWORD_MODELS": str(tmp_path), "COLUMNS": "200"}
    verified = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert verified.returncode == 2
    assert "firstword models pull silero-vad" in verified.stdout


def test_the_command_lists_what_lies_on_hubs_and_forgets_what_came(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent", "models"]
    env = os.environ | {"FIRSTWORD_MODELS": str(tmp_path), "COLUMNS": "300"}
    listed = subprocess.run(
        [*command, "list"], capture_output=True, text=True, check=True, env=env
    )
    rows = {line.split()[0]: line for line in listed.stdout.splitlines() if line.strip()}
    assert "28.0" in rows["campplus-zh-cn"]
    assert "modelscope iic/speech_campplus_sv_zh-cn_16k-common" in listed.stdout
    assert " ? " in rows["paraformer-zh-streaming"]
    record = tmp_path / ".records" / "paraformer-zh-streaming.json"
    record.parent.mkdir()
    record.write_text("not as it was written")
    again = subprocess.run([*command, "list"], capture_output=True, text=True, check=True, env=env)
    assert "corrupt" in again.stdout
    gone = subprocess.run(
        [*command, "forget", "paraformer-zh-streaming"],
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    assert gone.stdout == "paraformer-zh-streaming is forgotten\n"
    assert not record.exists()
