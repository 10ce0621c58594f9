"""What a training leaves on disk: always whole, whenever it is killed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stages.asr.campp.geometry import Geometry
from stages.asr.campp.training.config import Config
from stages.asr.campp.training.network import Network, Shape
from stages.errors import UserError

LAST = "last.pt"
"""The newest checkpoint, with the optimiser's state: what a run goes on from."""

Weights = dict[str, Tensor]

_FREE = ("dropout", "name", "language", "vocabulary")
"""What may differ between a checkpoint and the training that goes on from it."""


class BadCheckpoint(UserError):
    """A checkpoint that cannot be used."""

    def __init__(self, file: Path, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"The checkpoint {file} cannot be used: {reason}.")


class NotKept(UserError):
    """A checkpoint could not be written; the one before it is as it was."""

    def __init__(self, file: Path, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(
            f"{file} could not be written ({reason}). The checkpoint before it is whole;"
            " make room and run the same command again."
        )


@dataclass(slots=True)
class State:
    """A training at one step."""

    step: int
    weights: Weights
    optimiser: dict[str, Any] | None
    geometry: Geometry
    shape: Shape
    head: Weights | None = None  # of the phones: only training needs it
    file: Path = Path(LAST)  # where it is from


def build(config: Config) -> Network:
    """Return an untrained network of a configuration's size; torch's seed decides its weights."""
    return Network(config.network.geometry(), shape_of(config))


def shape_of(config: Config) -> Shape:
    """Return what the weights need beyond the geometry."""
    network = config.network
    return Shape(hidden=network.hidden, channels=network.channels, dropout=network.dropout)


def save(
    file: Path,
    network: Network,
    step: int,
    optimiser: dict[str, Any] | None = None,
    head: Weights | None = None,
) -> None:
    """Write a checkpoint beside its place, then move it there.

    Raises:
        NotKept: the disk is full or cannot be written; what was there before is still there.
    """
    shape = network.shape
    content = {
        "version": 1,
        "step": step,
        "geometry": network.geometry.model_dump_json(),
        "shape": [shape.hidden, shape.channels, shape.dropout],
        "weights": {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()},
        "optimiser": optimiser,
        "head": head,
    }
    part = file.with_name(file.name + ".part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as target:
            torch.save(content, target)
            target.flush()
            os.fsync(target.fileno())
        part.replace(file)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise NotKept(file, str(error).split("\n", maxsplit=1)[0]) from error


def save_small(file: Path, state: State) -> None:
    """Write weights in half precision, without the optimiser: small enough to ship.

    A run goes on from it like from any other, if it is put in the run's folder as ``last.pt``.
    """
    network = restored(state).half()
    save(file, network, state.step)


def load(file: Path) -> State:
    """Read a checkpoint; only tensors and plain values are read, no code.

    Raises:
        BadCheckpoint: there is none, it is broken, or it is none of ours.
    """
    try:
        content: Any = torch.load(file, map_location="cpu", weights_only=True)
        hidden, channels, dropout = content["shape"]
        return State(
            step=int(content["step"]),
            weights={name: tensor.float() for name, tensor in content["weights"].items()},
            optimiser=content["optimiser"],
            geometry=Geometry.model_validate_json(content["geometry"]),
            shape=Shape(int(hidden), int(channels), float(dropout)),
            head=content.get("head"),
            file=file,
        )
    except FileNotFoundError as error:
        raise BadCheckpoint(file, "there is no such file") from error
    except Exception as error:  # a torn file fails in many ways, none of them torch's own
        raise BadCheckpoint(file, str(error).split("\n", maxsplit=1)[0][:200]) from error


def check(state: State, config: Config, *, same_units: bool = False) -> None:
    """Refuse a checkpoint of another network than the configuration's.

    Args:
        state: the checkpoint.
        config: the training.
        same_units: what it tells must be the same too; a training may go on with other units.

    Raises:
        BadCheckpoint: with every field that differs, or with weights that do not fit.
    """
    free = [name for name in _FREE if not (same_units and name == "vocabulary")]
    wanted = {**config.network.geometry().model_dump(), **vars_of(shape_of(config))}
    found = {**state.geometry.model_dump(), **vars_of(state.shape)}
    differ = [
        f"{name} {found[name]} is not {wanted[name]}"
        for name in wanted
        if wanted[name] != found[name] and name not in free
    ]
    if differ:
        raise BadCheckpoint(state.file, "it is of another network: " + ", ".join(differ))
    restored(state)


def can_go_on(run: Path, config: Config) -> None:
    """Refuse a run's newest checkpoint if a training cannot go on from it; none is fine.

    Raises:
        BadCheckpoint: it is broken, or of another network.
    """
    file = run / LAST
    if file.exists():
        check(load(file), config)


def bytes_of(config: Config, run: Path) -> float:
    """Return the bytes that a run's checkpoints take, beyond those that are there.

    The newest ones that are averaged, and ``last.pt`` twice, for it is written beside its place;
    it holds the optimiser too, which has two numbers for every weight.
    """
    weights = 4 * sum(each.numel() for each in build(config).state_dict().values())
    there = sum(file.stat().st_size for file in run.glob("*.pt"))
    return max(0.0, weights * (config.keep.averaged + 2 * 3.0) - there)


def vars_of(shape: Shape) -> dict[str, Any]:
    """Return a shape's fields by name."""
    return {"hidden": shape.hidden, "channels": shape.channels, "dropout": shape.dropout}


def restored(state: State, chunk: int | None = None) -> Network:
    """Return the network that a checkpoint holds.

    Args:
        state: the checkpoint.
        chunk: frames of a chunk other than it was trained for; it looks back as far as before.

    Raises:
        BadCheckpoint: its weights do not fit its own geometry.
    """
    geometry = state.geometry
    if chunk is not None:
        left = max(1, geometry.chunk * geometry.left_chunks // chunk)
        geometry = Geometry.model_validate(
            {**geometry.model_dump(), "chunk": chunk, "left_chunks": left}
        )
    network = Network(geometry, state.shape)
    misfits = _misfits(network.state_dict(), state.weights)
    if misfits:
        more = f", and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        reason = "its weights are not those of its network: " + ", ".join(misfits[:3]) + more
        raise BadCheckpoint(state.file, reason)
    network.load_state_dict(state.weights)
    return network.eval()


def _misfits(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Return what keeps weights from being loaded."""
    found = [f"{name} is missing" for name in own if name not in given]
    found += [f"{name} is unknown" for name in given if name not in own]
    return found + [
        f"{name} has the shape {tuple(given[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]


def averaged(files: list[Path]) -> State:
    """Return the newest of some checkpoints with the mean of all their weights.

    Raises:
        BadCheckpoint: one cannot be read, or is of another network.
    """
    states = [load(file) for file in files]
    newest = states[-1]
    for state in states[:-1]:
        if state.geometry != newest.geometry or _misfits(newest.weights, state.weights):
            raise BadCheckpoint(state.file, "it is of another network than the newest")
    mean = {
        name: torch.stack([state.weights[name].double() for state in states]).mean(0).float()
        for name in newest.weights
    }
    return State(newest.step, mean, None, newest.geometry, newest.shape, file=newest.file)


def model_of(place: Path) -> State:
    """Return the model of a checkpoint, or the mean of those in a run's folder.

    Raises:
        BadCheckpoint: there is none, or it cannot be used.
    """
    if not place.is_dir():
        return load(place)
    files = snapshots(place)
    if not files:
        raise BadCheckpoint(place, "the folder holds no step-*.pt")
    return averaged(files)


def snapshots(folder: Path) -> list[Path]:
    """Return a run's checkpoints without the optimiser, oldest first."""
    return sorted(folder.glob("step-*.pt"))
