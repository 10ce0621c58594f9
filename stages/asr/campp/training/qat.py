"""From a trained network to INT8: ranges are found, then weights learn to live with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch

from stages.asr.campp.training import export, fake, losses, qdq, quantise
from stages.asr.campp.training.config import Config
from stages.asr.campp.training.corpus import Corpus, Item
from stages.asr.campp.training.fake import FakeLinear, Scheme
from stages.asr.campp.training.losses import Inputs, inputs_of
from stages.asr.campp.training.network import Network
from stages.asr.campp.training.plan import Plan
from stages.asr.campp.training.text import tokens_for

Way: TypeAlias = Literal["dynamic", "static", "qat"]

CALIBRATION = 200
"""Clips whose sound shows the ranges."""

STEPS = 300
"""Of fine-tuning, if nobody says how many."""

PEAK = 1e-4
"""Learning rate of the fine-tuning, at its start; it falls to nothing in a straight line."""

Tell = Callable[[str], None]


def dynamic(network: Network, file: Path) -> None:
    """Write an INT8 file whose ranges are found anew in every batch: no data needed.

    A call's result then depends, a little, on its batch mates.
    """
    full = file.with_name(file.name + ".full")
    try:
        export.export(network, tokens_for(network.geometry.vocabulary), full)
        quantise.quantise(full, file)
    finally:
        full.unlink(missing_ok=True)


def calibrated(
    network: Network, corpus: Corpus, scheme: Scheme, tell: Tell | None = None
) -> dict[str, FakeLinear]:
    """Put fake layers into a network, and show them clips in the chunks they will meet.

    One thread: on a busy machine several wait for each other longer than they work.
    """
    torch.set_num_threads(1)
    layers = fake.faked(network, scheme)
    geometry = network.geometry
    chosen = sorted(sample(corpus, CALIBRATION), key=lambda item: item.frames)
    if tell:
        tell(f"ranges are found with {len(chosen)} clips")
    network.eval()
    with torch.no_grad(), fake.looking(layers):
        for start in range(0, len(chosen), 8):
            inputs = inputs_of(corpus, chosen[start : start + 8])
            network(inputs.frames, inputs.lengths, geometry.chunk, geometry.left_chunks)
    return layers


def steps_of(corpus: Corpus, config: Config, epochs: float | None) -> int:
    """Return the steps of so many epochs; of nothing, ``STEPS``."""
    if epochs is None:
        return STEPS
    return max(1, round(epochs * Plan(corpus.items, config).epoch_steps))


def tune(network: Network, corpus: Corpus, config: Config, steps: int, tell: Tell) -> None:
    """Train a network with fake layers for some steps: its weights learn the rounding.

    Ranges stay as they were found, without SpecAugment or dropout: nothing new is to be learned.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    plan = Plan(corpus.items, config.model_copy(update={"seed": config.seed + 1000}))
    tell(f"fine-tuning for {steps} steps; an epoch has about {plan.epoch_steps}")
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK, betas=(0.9, 0.98))
    rng = np.random.default_rng([config.seed, 11])
    losses: list[float] = []
    network.train()
    _without_dropout(network)
    for step in range(steps):
        batch = [corpus.items[place] for place in plan.at(config.steps.short_first + step)]
        loss = _loss(network, inputs_of(corpus, batch), int(rng.choice(config.steps.chunks)))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), config.steps.clip)
        for group in optimiser.param_groups:
            group["lr"] = PEAK * (1 - step / steps)
        if torch.isfinite(norm):
            optimiser.step()
        losses.append(float(loss.detach()))
        if (step + 1) % 25 == 0 or step + 1 == steps:
            tell(f"fine-tuning, step {step + 1} of {steps}: loss {np.mean(losses[-25:]):.3f}")
    network.eval()


def write(network: Network, layers: dict[str, FakeLinear], file: Path) -> None:
    """Write what calibration or fine-tuning gave."""
    qdq.write(network, layers, tokens_for(network.geometry.vocabulary), file)


def _loss(network: Network, inputs: Inputs, chunk: int) -> torch.Tensor:
    geometry = network.geometry
    left = -1 if chunk == 0 else max(1, geometry.chunk * geometry.left_chunks // chunk)
    heard = losses.forward(network, inputs, chunk, left)
    return losses.ctc(heard.last, heard.frames, inputs)


def _without_dropout(network: Network) -> None:
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0


def sample(corpus: Corpus, count: int) -> Sequence[Item]:
    """Return so many training items, spread over all."""
    chosen = [item for item in corpus.items if not item.held]
    return chosen[:: max(1, len(chosen) // count)][:count]
