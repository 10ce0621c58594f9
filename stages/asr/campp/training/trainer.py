"""The training itself: CTC under chunk masks, kept every few minutes, the same by seed."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.asr.campp.training import checkpoint, curve, listen, losses, tails
from stages.asr.campp.training.config import Config, Steps
from stages.asr.campp.training.corpus import Corpus, Item
from stages.asr.campp.training.losses import Inputs
from stages.asr.campp.training.network import Network
from stages.asr.campp.training.plan import Plan
from stages.asr.campp.training.text import PHONES

LOG = "log.jsonl"

Tell = Callable[[str], None]


def train(config: Config, corpus: Corpus, run: Path, tell: Tell, until: int | None = None) -> None:
    """Train, from the start or from the last checkpoint of the same run.

    Args:
        config: the whole training.
        corpus: what is heard.
        run: folder of checkpoints, log and learning curve.
        tell: hears a line now and then.
        until: stop before this step, as if killed but kept.

    Raises:
        BadCheckpoint: the folder holds a checkpoint of another network.
        NotKept: a checkpoint could not be written.
    """
    Trainer(config, corpus, run, tell).run(min(until or config.steps.total, config.steps.total))


class Trainer:
    """One run."""

    def __init__(self, config: Config, corpus: Corpus, run: Path, tell: Tell) -> None:
        self._config, self._corpus, self._run, self._tell = config, corpus, run, tell
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self._network = checkpoint.build(config)
        self._head = nn.Linear(config.network.width, len(PHONES)) if config.phones else None
        self._plan = Plan(corpus.items, config)
        self._step = 0
        self._of_phones: list[float] = []  # losses since the last note
        self._set_means()
        self._optimiser = torch.optim.AdamW(
            _groups(self._trained(), config.steps.weight_decay),
            betas=(0.9, 0.98),
            eps=1e-9,
            fused=True,  # six times as fast as its loop over tensors
        )
        self._go_on()
        held = [item for item in corpus.items if item.held]
        self._looked_at = _spread(held, config.keep.look_clips)

    def run(self, until: int) -> None:
        """Take steps up to (not including) ``until``."""
        steps, plan = self._config.steps, self._plan
        self._tell(
            f"{len(self._corpus.items)} items, {plan.left_out} left out, about"
            f" {plan.epoch_steps} steps an epoch; from step {self._step} to {until}"
        )
        kept = shown = time.monotonic()
        losses: list[float] = []
        heard = 0.0
        while self._step < until:
            loss, seconds = self._one(plan.at(self._step))
            losses.append(loss)
            heard += seconds
            self._step += 1
            if time.monotonic() - kept > self._config.keep.minutes * 60 or self._step == until:
                self._keep()  # before log and picture: a full disk takes those first
                kept = time.monotonic()
            if self._step % 25 == 0 or self._step == until:
                now = time.monotonic()
                self._note(losses, heard, now - shown)
                losses, heard, shown = [], 0.0, now
            if self._step % self._config.keep.look == 0 or self._step == steps.total:
                self._look()

    def _one(self, batch: list[int]) -> tuple[float, float]:
        """Take one step; return its loss and the seconds heard."""
        config = self._config
        rng = np.random.default_rng([config.seed, 7, self._step])
        torch.manual_seed(config.seed * 1_000_003 + self._step)
        items = [self._corpus.items[place] for place in batch]
        inputs = losses.inputs_of(self._corpus, items)
        masked(inputs.frames, inputs.lengths, config.steps, rng, self._network)
        chunk = int(rng.choice(config.steps.chunks))
        for group in self._optimiser.param_groups:
            group["lr"] = rate(config.steps, self._step)
        self._network.train()
        loss = self._loss(inputs, items, chunk)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._trained(), config.steps.clip)
        if torch.isfinite(norm):  # one odd batch must not spoil hours
            self._optimiser.step()
        return float(loss.detach()), float(inputs.lengths.sum()) / 100

    def _loss(self, inputs: Inputs, items: Sequence[Item], chunk: int) -> Tensor:
        config, network, geometry = self._config, self._network, self._network.geometry
        history = config.network.chunk * config.network.left_chunks
        left = -1 if chunk == 0 else max(1, history // chunk)
        share = config.steps.middle
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
            heard = losses.forward(network, inputs, chunk, left)
            early = losses.letters(network, heard.middle) if share else None
        loss = losses.ctc(heard.last, heard.frames, inputs)
        if early is not None:
            loss = (1 - share) * loss + share * losses.ctc(early, heard.frames, inputs)
        if self._head is not None:
            marks = losses.marks_of(self._corpus, items, geometry, config.steps.late)
            phones = losses.phones(self._head, heard.middle.float(), marks)
            self._of_phones.append(float(phones.detach()))
            loss = loss + losses.phone_weight(config.steps, self._step) * phones
        return loss

    def _trained(self) -> list[nn.Parameter]:
        head = [] if self._head is None else list(self._head.parameters())
        return [*self._network.parameters(), *head]

    def _set_means(self) -> None:
        mean, deviation = self._corpus.mean_and_deviation()
        self._network.get_buffer("cmvn_mean").copy_(torch.from_numpy(mean))
        self._network.get_buffer("cmvn_istd").copy_(torch.from_numpy(1.0 / deviation))

    def _go_on(self) -> None:
        file = self._run / checkpoint.LAST
        if not file.exists():
            return
        state = checkpoint.load(file)
        checkpoint.check(state, self._config)
        if state.geometry.vocabulary != self._network.geometry.vocabulary:
            self._tell(f"{file} tells other units: the output layer starts anew")
            own = self._network.state_dict()
            anew = {name: own[name] for name in own if name.startswith("output.")}
            state.weights |= anew
            state.optimiser = None
        self._network.load_state_dict(state.weights)
        if self._head is not None and state.head:
            self._head.load_state_dict(state.head)
        if state.optimiser and bool(state.head) == (self._head is not None):
            self._optimiser.load_state_dict(state.optimiser)
        self._step = state.step
        self._tell(f"goes on from step {state.step} of {file}")

    def _keep(self) -> None:
        checkpoint.save(
            self._run / checkpoint.LAST,
            self._network,
            self._step,
            self._optimiser.state_dict(),
            None if self._head is None else self._head.state_dict(),
        )
        checkpoint.save(self._run / f"step-{self._step:07d}.pt", self._network, self._step)
        for old in checkpoint.snapshots(self._run)[: -self._config.keep.averaged]:
            old.unlink()

    def _note(self, losses: list[float], heard: float, seconds: float) -> None:
        loss = float(np.mean(losses))
        speed = heard / max(seconds, 1e-9)
        now = rate(self._config.steps, self._step - 1)
        entry = {"step": self._step, "loss": round(loss, 4), "rate": now, "speed": speed}
        told = f"step {self._step}: loss {loss:.3f}, {speed:.0f} times real time"
        if self._of_phones:
            entry["phones"] = round(float(np.mean(self._of_phones)), 4)
            told += f", of phones {entry['phones']:.3f}"
            self._of_phones = []
        self._log(entry)
        self._tell(told)

    def _look(self) -> None:
        seen = listen.errors_by_source(self._network, self._corpus, self._looked_at)
        rates = {name: round(found.rate, 4) for name, found in seen.rates.items()}
        self._log({"step": self._step, "held_loss": round(seen.loss, 4), "held": rates})
        said, heard = seen.example
        self._tell(f"step {self._step}: held back {seen.loss:.3f}, {rates}, {said!r} as {heard!r}")
        try:
            curve.draw(self._run / LOG, self._run / "curve.png")
        except (OSError, ImportError) as error:
            self._tell(f"{self._run / 'curve.png'} could not be drawn ({error}); training goes on")

    def _log(self, entry: dict[str, Any]) -> None:
        """Add a line to the log, if the disk takes it: no step is worth less for the lack of it."""
        file = self._run / LOG
        try:
            self._run.mkdir(parents=True, exist_ok=True)
            tails.whole_lines(file)
            with file.open("a", encoding="utf-8") as target:
                target.write(json.dumps(entry) + "\n")
        except OSError as error:
            self._tell(f"{file} could not be written ({error}); training goes on")


def rate(steps: Steps, step: int) -> float:
    """Return a step's learning rate: up, level, and down at the end.

    The level part makes it possible to train on: only the last steps must be taken anew.
    """
    rising = (step + 1) / steps.warm_up
    falling = (steps.total - step) / steps.cool_down
    return steps.peak * max(0.0, min(1.0, rising, falling))


def masked(
    frames: Tensor, lengths: Tensor, steps: Steps, rng: np.random.Generator, network: Network
) -> None:
    """Put out bands and gaps of frames (SpecAugment), in place; what is put out is average."""
    mean = network.get_buffer("cmvn_mean")
    mels = frames.shape[2]
    for row, length in enumerate(lengths.tolist()):
        for _ in range(steps.bands):
            wide = int(rng.integers(0, steps.band + 1))
            low = int(rng.integers(0, max(1, mels - wide)))
            frames[row, :, low : low + wide] = mean[low : low + wide]
        for _ in range(math.floor(length / 100 * steps.gaps + rng.random())):
            long = int(rng.integers(0, steps.gap + 1))
            start = int(rng.integers(0, max(1, length - long)))
            frames[row, start : start + long] = mean


def _groups(trained: Sequence[nn.Parameter], decay: float) -> list[dict[str, Any]]:
    """Decay products only, not biases and norms."""
    return [
        {"params": [weights for weights in trained if weights.dim() > 1], "weight_decay": decay},
        {"params": [weights for weights in trained if weights.dim() <= 1], "weight_decay": 0.0},
    ]


def _spread(items: list[Item], count: int) -> list[Item]:
    """Return some items, as many of each source as there is room for."""
    by_source: dict[str, list[Item]] = {}
    for item in items:
        by_source.setdefault(item.source, []).append(item)
    room = max(1, count // max(1, len(by_source)))
    return [
        item
        for group in by_source.values()
        for item in group[:: max(1, len(group) // room)][:room]
    ]
