"""Models of a hub: found by its own list, verified, recorded, and held to that ever after."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.errors import ModelCorrupt, ModelMissing, ModelPullFailed
from stages.models import CATALOGUE, Hub, Model, ModelStore
from stages.models.fetch import sha256_of
from stages.models.hubs import BRANCH
from stages.models.shapes import File, HubKind
from tests.stages.file_server import Files, serving
from tests.stages.hub_server import COMMIT, Repository
from tests.stages.toys import sha256

WEIGHTS = random.Random(2).randbytes(300_000)
CONFIG = b"model: Toy\n"
KINDS: tuple[HubKind, ...] = ("huggingface", "modelscope")


@pytest.fixture(params=KINDS)
def repository(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Repository]:
    with serving(Files({})) as files:
        monkeypatch.setenv("HF_ENDPOINT", files.url)
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", files.url + "/")
        made = Repository(request.param, files)
        made.offer({"config.yaml": CONFIG, "model.pt": WEIGHTS, "model.py": b"import os\n"})
        yield made


def store_of(root: Path, *models: Model, silence: float = 5.0) -> ModelStore:
    return ModelStore(root, {model.name: model for model in models}, silence)


async def refused(store: ModelStore, name: str) -> str:
    with pytest.raises(ModelPullFailed) as caught:
        await store.pull([name])
    return str(caught.value)


def names(root: Path) -> set[str]:
    """Return the names of all files that a pull has left."""
    return {path.name for path in root.rglob("*")}


# --- the first pull -----------------------------------------------------------------------------


async def test_a_repository_is_brought_by_its_name_without_its_code(
    tmp_path: Path, repository: Repository
) -> None:
    store, told = store_of(tmp_path), list[tuple[str, int, int]]()
    await store.pull([repository.name], lambda *news: told.append(news))
    folder = store.path(repository.name)
    assert sorted(file.name for file in folder.iterdir()) == ["config.yaml", "model.pt"]
    assert (folder / "model.pt").read_bytes() == WEIGHTS
    assert told[-1] == (repository.name, len(WEIGHTS + CONFIG), len(WEIGHTS + CONFIG))
    assert repository.name in store.names()


async def test_what_came_is_recorded_and_asked_for_by_its_commit(
    tmp_path: Path, repository: Repository
) -> None:
    store = store_of(tmp_path)
    await store.pull([repository.name])
    model = store.model(repository.name)
    assert isinstance(model.source, Hub)
    assert model.source.revision == (COMMIT if repository.kind == "huggingface" else "master")
    assert {file.name: file.sha256 for file in model.files} == {
        "config.yaml": sha256(CONFIG),
        "model.pt": sha256(WEIGHTS),
    }
    asked = len(repository.hub.asked)
    await store.pull([repository.name])
    assert len(repository.hub.asked) == asked


async def test_large_files_may_lie_elsewhere(tmp_path: Path, repository: Repository) -> None:
    with serving(Files({"/far/away?signature=x": WEIGHTS})) as cdn:
        route = repository.file_route("model.pt")
        repository.hub.elsewhere[route] = f"{cdn.url}/far/away?signature=x"
        store = store_of(tmp_path)
        await store.pull([repository.name])
        assert store.state(repository.name) == "ready"
        assert cdn.asked


async def test_a_pull_that_broke_off_goes_on_where_it_was(
    tmp_path: Path, repository: Repository
) -> None:
    route, store = repository.file_route("model.pt"), store_of(tmp_path)
    listing = len(repository.listed())
    repository.hub.cuts = [listing, len(CONFIG), 200_000, 0, 0, 0, 0]
    assert "the download broke off" in await refused(store, repository.name)
    assert store.state(repository.name) == "missing"  # a half of it is nothing
    await store.pull([repository.name])
    assert store.state(repository.name) == "ready"
    assert repository.hub.asked[-1] == (route, "bytes=200000-")


# --- what a hub may do wrong --------------------------------------------------------------------


async def test_a_file_that_is_not_what_the_hub_lists_is_thrown_away(
    tmp_path: Path, repository: Repository
) -> None:
    repository.hub.files[repository.file_route("model.pt")] = bytes(len(WEIGHTS))
    told = await refused(store_of(tmp_path), repository.name)
    assert "is not the file that the hub's own list knows" in told
    assert "model.pt" not in names(tmp_path)


async def test_a_small_file_is_held_to_what_the_hub_lists_too(
    tmp_path: Path, repository: Repository
) -> None:
    repository.hub.files[repository.file_route("config.yaml")] = b"model: Lie\n"
    told = await refused(store_of(tmp_path), repository.name)
    assert "is not the file that the hub's own list knows" in told
    assert "config.yaml" not in names(tmp_path)


async def test_a_file_whose_hash_the_hub_does_not_state_is_not_taken(
    tmp_path: Path, repository: Repository
) -> None:
    repository.list_otherwise(sha256(WEIGHTS), "")
    if repository.kind == "huggingface":
        repository.list_otherwise("blobId", "other")
    told = await refused(store_of(tmp_path), repository.name)
    assert "so that it could not be verified" in told
    assert [path for path, _ in repository.hub.asked] == [repository.list_route()]


async def test_a_repository_that_is_not_there_is_a_sentence(
    tmp_path: Path, repository: Repository
) -> None:
    repository.hub.files.clear()
    host, branch = repository.hub.url.removeprefix("http://"), BRANCH[repository.kind]
    assert await refused(store_of(tmp_path), repository.name) == (
        f"The model '{repository.name}' could not be pulled: {host} has no public repository"
        f" acme/toy with a revision {branch} (it answered 404)."
    )


async def test_a_revision_may_be_named(tmp_path: Path, repository: Repository) -> None:
    told = await refused(store_of(tmp_path), f"{repository.name}@v9")
    assert "no public repository acme/toy with a revision v9" in told
    assert repository.hub.asked[0][0] == repository.list_route("v9")


async def test_a_repository_without_a_model_is_a_sentence(
    tmp_path: Path, repository: Repository
) -> None:
    repository.offer({"README.md": b"# Toy\n", "../model.pt": WEIGHTS, ".model.pt": WEIGHTS})
    told = await refused(store_of(tmp_path), repository.name)
    assert "acme/toy on 127.0.0.1" in told
    assert "holds no model: there is no *.yaml" in told


@pytest.mark.parametrize("answer", [b"<html>sign in</html>", b"[]", b'{"Data": null}'])
async def test_something_that_is_no_hub_is_named_as_such(
    tmp_path: Path, repository: Repository, answer: bytes
) -> None:
    repository.hub.files[repository.list_route()] = answer
    told = await refused(store_of(tmp_path), repository.name)
    assert f"is no {repository.kind} hub: what it answered is no list of files" in told


async def test_a_hub_that_does_not_answer_is_given_up_within_its_deadline(
    tmp_path: Path, repository: Repository
) -> None:
    repository.hub.gate.clear()
    host = repository.hub.url.removeprefix("http://")
    assert await refused(store_of(tmp_path, silence=0.2), repository.name) == (
        f"The model '{repository.name}' could not be pulled: {host} did not answer within 0.2 s."
    )


async def test_a_hub_that_cannot_be_reached_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    told = await refused(store_of(tmp_path), "modelscope:acme/toy")
    assert "127.0.0.1:9 cannot be reached (" in told


async def test_a_hub_that_is_ill_says_so(tmp_path: Path, repository: Repository) -> None:
    repository.hub.refusal = 503
    assert "answered 503" in await refused(store_of(tmp_path), repository.name)


# --- ever after ---------------------------------------------------------------------------------


async def test_a_hub_that_gives_something_else_later_is_not_believed(
    tmp_path: Path, repository: Repository
) -> None:
    store = store_of(tmp_path)
    await store.pull([repository.name])
    (store.path(repository.name) / "model.pt").unlink()
    repository.offer({"config.yaml": CONFIG, "model.pt": WEIGHTS[::-1]})
    told = await refused(store, repository.name)
    assert "is not the file that the record of its first pull knows" in told
    store.forget(repository.name)
    await store.pull([repository.name])  # whoever forgets the old one may have the new one
    assert (store.path(repository.name) / "model.pt").read_bytes() == WEIGHTS[::-1]


async def test_a_file_that_was_changed_is_not_loaded_and_is_pulled_anew(
    tmp_path: Path, repository: Repository
) -> None:
    store = store_of(tmp_path)
    await store.pull([repository.name])
    (store.path(repository.name) / "model.pt").write_bytes(bytes(len(WEIGHTS)))
    with pytest.raises(ModelCorrupt, match=r"model\.pt is not the file that FirstWord knows"):
        store.path(repository.name)
    await store.pull([repository.name])
    assert store.state(repository.name) == "ready"


@pytest.mark.parametrize("change", ["{", "{}", '{"source": "x"}'])
async def test_a_record_that_was_tampered_with_is_noticed(
    tmp_path: Path, repository: Repository, change: str
) -> None:
    store = store_of(tmp_path)
    await store.pull([repository.name])
    (record,) = (tmp_path / ".records").iterdir()
    record.write_text(change)
    with pytest.raises(ModelCorrupt) as caught:
        store.path(repository.name)
    assert str(caught.value) == (
        f"The model '{repository.name}' cannot be trusted: {record} is not the file that FirstWord"
        " knows (its SHA-256 differs). Begin anew with: firstword models forget"
        f" {repository.name}"
    )
    assert store.state(repository.name) == "corrupt"
    store.forget(repository.name)
    assert store.state(repository.name) == "missing"


async def test_a_record_cannot_name_files_of_other_folders(
    tmp_path: Path, repository: Repository
) -> None:
    store = store_of(tmp_path)
    await store.pull([repository.name])
    (record,) = (tmp_path / ".records").iterdir()
    record.write_text(record.read_text().replace("model.pt", "../model.pt"))
    with pytest.raises(ModelCorrupt):
        store.path(repository.name)


# --- with what the catalogue knows --------------------------------------------------------------


def toy(kind: HubKind, raw: bytes = WEIGHTS) -> Model:
    source = Hub(kind, "acme/toy", BRANCH[kind], ("*.yaml",))
    file = File("model.pt", "model.pt", len(raw), sha256(raw))
    return Model("toy", "a toy", "MIT", source, (file,))


async def test_the_catalogue_is_believed_before_the_hub(
    tmp_path: Path, repository: Repository
) -> None:
    store = store_of(tmp_path, toy(repository.kind))
    await store.pull(["toy"])
    assert store.path("toy") == store.path(repository.name)  # one repository, one folder
    assert sha256_of(store.path("toy") / "model.pt") == sha256(WEIGHTS)
    other = store_of(tmp_path / "other", toy(repository.kind, WEIGHTS[::-1]))
    assert "is not the file that the catalogue knows" in await refused(other, "toy")


async def test_a_record_that_speaks_against_the_catalogue_is_not_believed(
    tmp_path: Path, repository: Repository
) -> None:
    store = store_of(tmp_path, toy(repository.kind))
    await store.pull(["toy"])
    other = bytes(len(WEIGHTS))
    (store.path("toy") / "model.pt").write_bytes(other)
    record = tmp_path / ".records" / "toy.json"
    record.write_text(record.read_text().replace(sha256(WEIGHTS), sha256(other)))
    with pytest.raises(ModelCorrupt):
        store.path("toy")


async def test_the_names_of_the_catalogue_are_the_hubs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore(tmp_path)
    assert store.model("modelscope:iic/SenseVoiceSmall").name == "sensevoice-small"
    for name in ("campplus-zh-cn", "campplus-zh-en", "paraformer-zh-streaming"):
        assert store.state(name) == "missing"
        with pytest.raises(ModelMissing, match=f"get it with: firstword models pull {name}"):
            store.path(name)
    assert "campplus-zh-cn" in CATALOGUE
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", "http://127.0.0.1:9")
    assert "could not be pulled" in await refused(store, "campplus-zh-en")


def test_a_name_that_is_none_says_how_a_hub_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="as modelscope:OWNER/NAME or huggingface:OWNER/NAME"):
        ModelStore(tmp_path).path("modelscope:../../etc")
