from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")
pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")
pytest.importorskip("matplotlib", reason="needs Matplotlib: pip install 'firstword[train]'")

import torch

from stages.asr.campp.article.forge import shipped
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training import checkpoint, corpus, export, fake, qat
from stages.asr.campp.training.checkpoint import BadCheckpoint, NotKept
from stages.asr.campp.training.corpus import Corpus
from stages.asr.campp.training.text import PHONES, TOKENS
from stages.asr.campp.training.trainer import train
from tests.stages.asr.campp.training.tones import chorus, lesson, silent, songbook

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a songbook whose frames are made; tests work in copies."""
    made = tmp_path_factory.mktemp("prepared")
    songbook(made / "songs")
    corpus.prepare(lesson(made), made, made / "work", silent)
    return made


@pytest.fixture
def songs(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path, dirs_exist_ok=True))


def learned(folder: Path, run: str, steps: int, until: int | None = None, **changed: Any) -> Corpus:
    config = lesson(folder, steps=steps, **changed)
    heard = corpus.prepare(config, folder, folder / "work", silent)
    train(config, heard, folder / run, silent, until)
    return heard


def weights(file: Path) -> dict[str, Any]:
    return checkpoint.load(file).weights


def test_a_run_that_is_broken_off_and_goes_on_learns_what_an_unbroken_one_learns(
    songs: Path,
) -> None:
    learned(songs, "unbroken", 12)
    learned(songs, "broken", 12, until=7)
    learned(songs, "broken", 12)

    one, other = (weights(songs / run / "last.pt") for run in ("unbroken", "broken"))
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_a_run_that_learns_phones_goes_on_with_what_it_knew_of_them(songs: Path) -> None:
    phones = chorus(songs)
    learned(songs, "unbroken", 8, **phones)
    learned(songs, "broken", 8, until=5, **phones)
    learned(songs, "broken", 8, **phones)

    one, other = (checkpoint.load(songs / run / "last.pt") for run in ("unbroken", "broken"))
    assert one.head is not None
    assert other.head is not None
    assert one.head["weight"].shape[0] == len(PHONES)
    for name, value in (one.weights | one.head).items():
        assert torch.equal(value, (other.weights | other.head)[name]), name


@pytest.mark.parametrize("begun_with_phones", [True, False])
def test_a_run_goes_on_when_phones_are_learned_from_now_on_or_no_longer(
    songs: Path, begun_with_phones: bool
) -> None:
    phones = chorus(songs)
    learned(songs, "run", 5, until=3, **(phones if begun_with_phones else {}))
    learned(songs, "run", 5, **({} if begun_with_phones else phones))

    assert (checkpoint.load(songs / "run" / "last.pt").head is None) == begun_with_phones


def test_phones_are_learned_beside_the_letters(songs: Path) -> None:
    learned(songs, "run", 100, **chorus(songs))

    lines = (songs / "run" / "log.jsonl").read_text().splitlines()
    phones = [entry["phones"] for entry in map(json.loads, lines) if "phones" in entry]
    assert phones[-1] < 0.5 * phones[0]


def test_the_same_seed_learns_the_same_and_another_one_does_not(songs: Path) -> None:
    for run, seed in (("one", 5), ("again", 5), ("other", 6)):
        learned(songs, run, 3, seed=seed)

    one, again, other = (weights(songs / run / "last.pt") for run in ("one", "again", "other"))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_a_checkpoint_of_another_network_is_refused_before_anything_is_done(songs: Path) -> None:
    learned(songs, "run", 2)
    wider = {"width": 48, "heads": 2, "hidden": 48, "channels": 4, "kernel": 7}
    wider |= {"layers": [1, 1], "strides": [2, 1], "dropout": 0.0}  # type: ignore[dict-item]

    with pytest.raises(BadCheckpoint, match="another network: width 32 is not 48"):
        learned(songs, "run", 4, network=wider)


def test_a_checkpoint_that_is_torn_is_named(songs: Path) -> None:
    learned(songs, "run", 2)
    file = songs / "run" / "last.pt"
    file.write_bytes(file.read_bytes()[:1000])

    with pytest.raises(BadCheckpoint, match=r"last\.pt cannot be used"):
        learned(songs, "run", 4)


def test_when_the_disk_takes_no_more_the_last_checkpoint_is_whole(songs: Path) -> None:
    learned(songs, "run", 2)
    state = checkpoint.load(songs / "run" / "last.pt")
    network = checkpoint.restored(state)
    before = (songs / "run" / "last.pt").read_bytes()
    (songs / "run" / "last.pt.part").mkdir()  # what cannot be written to

    with pytest.raises(NotKept, match="The checkpoint before it is whole"):
        checkpoint.save(songs / "run" / "last.pt", network, 3)
    assert (songs / "run" / "last.pt").read_bytes() == before


def test_the_mean_of_checkpoints_is_the_mean_of_their_weights(songs: Path) -> None:
    learned(songs, "run", 2)
    network = checkpoint.restored(checkpoint.load(songs / "run" / "last.pt"))
    for number, value in ((1, 1.0), (2, 3.0)):
        with torch.no_grad():
            network.output.bias.fill_(value)
        checkpoint.save(songs / "mean" / f"step-{number:07d}.pt", network, number)

    state = checkpoint.model_of(songs / "mean")

    assert state.step == 2
    assert state.weights["output.bias"].tolist() == [2.0] * len(TOKENS)


def test_a_run_goes_on_from_the_small_checkpoint_that_ships(songs: Path) -> None:
    learned(songs, "run", 3)
    (songs / "on").mkdir()
    checkpoint.save_small(songs / "on" / "last.pt", checkpoint.model_of(songs / "run"))

    learned(songs, "on", 5)

    assert checkpoint.load(songs / "on" / "last.pt").step == 5
    small = (songs / "run" / "last.pt").stat().st_size
    checkpoint.save_small(songs / "small.pt", checkpoint.load(songs / "run" / "last.pt"))
    assert (songs / "small.pt").stat().st_size < 0.35 * small


def test_chunks_of_another_size_run_on_the_same_weights(songs: Path) -> None:
    learned(songs, "run", 2)
    state = checkpoint.load(songs / "run" / "last.pt")
    for chunk, left in ((8, 8), (32, 2)):
        file = songs / f"{chunk}.onnx"
        export.export(checkpoint.restored(state, chunk), TOKENS, file)
        geometry = open_graph(file).geometry
        assert (geometry.chunk, geometry.left_chunks) == (chunk, left)


def test_fixed_ranges_keep_a_call_apart_from_its_batch_mates_and_dynamic_ones_do_not(
    songs: Path,
) -> None:
    heard = learned(songs, "run", 5)
    state = checkpoint.load(songs / "run" / "last.pt")
    static, tuned, dynamic = (songs / f"{way}.onnx" for way in ("static", "qat", "dynamic"))
    network = checkpoint.restored(state)
    layers = qat.calibrated(network, heard, fake.SCHEMES["x86"])
    qat.write(network, layers, static)
    qat.tune(network, heard, lesson(songs), 3, silent)
    qat.write(network, layers, tuned)
    qat.dynamic(checkpoint.restored(state), dynamic)

    assert moved(static) == 0.0
    assert moved(tuned) == 0.0
    assert moved(dynamic) > 0.0


def test_the_shipped_model_keeps_a_call_apart_from_its_batch_mates() -> None:
    assert moved(shipped("en-small.onnx")) == 0.0


def moved(file: Path) -> float:
    """Tell how far a call's numbers move when a call that is far louder stands beside it."""
    graph = open_graph(file)
    feed = {
        entry.name: np.zeros([2, *entry.shape[1:]], _kind(entry.type))
        for entry in graph.session.get_inputs()
    }
    rng = np.random.default_rng(0)
    feed["features"][0] = rng.standard_normal(feed["features"][0].shape) * 3 + 8
    feed["features"][1] = feed["features"][0]
    alone = graph.session.run(["log_probs"], feed)[0][0]
    feed["features"][1] = feed["features"][0] * 4 + 30
    beside = graph.session.run(["log_probs"], feed)[0][0]
    return float(np.abs(alone - beside).max())


def _kind(name: str) -> type[np.generic]:
    return np.int64 if "int64" in name else np.float32


def test_every_layer_counts_in_the_file_as_it_counts_in_training() -> None:
    """One layer by itself: what is rounded in two places may fall to either side in a deep one."""
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 32)
    layer = fake.FakeLinear(linear, fake.Scheme())
    x = torch.randn(5, 64)
    with fake.looking({"only": layer}):
        layer(x)
    found = layer.range()
    whole = np.clip(np.round(x.numpy() / found.scale) + found.zero, 0, 255)
    back = (whole - found.zero) * np.float32(found.scale)
    scales = fake.weight_scales(linear.weight.detach().t(), per_channel=True).numpy()
    weight = linear.weight.detach().numpy()
    rounded = np.clip(np.round(weight / scales[:, None]), -127, 127) * scales[:, None]
    expected = back @ rounded.T + linear.bias.detach().numpy()

    with torch.no_grad():
        assert np.abs(layer(x).numpy() - expected).max() < 1e-4
