"""What a network in training hears: greedy decoding of whole clips under the chunk mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stages.asr.campp.decode.hypothesis import SPACE
from stages.asr.campp.training import score
from stages.asr.campp.training.corpus import Corpus, Item
from stages.asr.campp.training.network import Network
from stages.asr.campp.training.score import Errors
from stages.asr.campp.training.text import PHONE_TOKENS, TOKENS

SECONDS = 120.0
"""Of sound in one batch."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Errors by source, the mean loss a token, and one clip as an example: said and heard."""

    rates: dict[str, Errors]
    loss: float
    example: tuple[str, str]


def errors_by_source(network: Network, corpus: Corpus, items: Sequence[Item]) -> Heard:
    """Let a network hear items in chunks as it will in calls."""
    network.eval()
    geometry = network.geometry
    found: dict[str, list[Errors]] = {}
    example, loss, tokens = ("", ""), 0.0, 0
    for batch in _batches(items):
        frames, lengths = _padded(corpus, batch)
        with torch.no_grad():
            log_probs, real = network(frames, lengths, geometry.chunk, geometry.left_chunks)
        loss += _summed_loss(log_probs, real, batch)
        tokens += sum(len(item.tokens) for item in batch)
        for row, item in enumerate(batch):
            heard = greedy(log_probs[row, : int(real[row])])
            said = spelled(item.tokens, log_probs.shape[-1])
            found.setdefault(item.source, []).append(score.errors(said, heard))
            example = (said, heard) if len(said) > len(example[0]) and len(said) < 60 else example
    rates = {name: score.together(each) for name, each in sorted(found.items())}
    return Heard(rates, loss / max(1, tokens), example)


def greedy(log_probs: Tensor) -> str:
    """Return the text of the best tokens, (T, vocabulary); repeats joined, blanks dropped."""
    best = torch.unique_consecutive(log_probs.argmax(dim=-1)).tolist()
    return spelled([token for token in best if token != 0], log_probs.shape[-1])


def spelled(tokens: Sequence[int], vocabulary: int = len(TOKENS)) -> str:
    """Return the text of tokens; phones stand apart, so that each counts as a word."""
    if vocabulary == len(PHONE_TOKENS):
        return " ".join(PHONE_TOKENS[token] for token in tokens)
    joined = "".join(TOKENS[token] for token in tokens if len(TOKENS[token]) == 1)
    return " ".join(joined.replace(SPACE, " ").split())


def _summed_loss(log_probs: Tensor, real: Tensor, batch: Sequence[Item]) -> float:
    total = functional.ctc_loss(
        log_probs.transpose(0, 1),
        torch.tensor([token for item in batch for token in item.tokens]),
        real,
        torch.tensor([len(item.tokens) for item in batch]),
        reduction="sum",
        zero_infinity=True,
    )
    return float(total)


def _padded(corpus: Corpus, batch: Sequence[Item]) -> tuple[Tensor, Tensor]:
    longest = max(item.frames for item in batch)
    frames = np.zeros((len(batch), longest, corpus.frames(batch[0]).shape[1]), dtype=np.float32)
    for row, item in enumerate(batch):
        frames[row, : item.frames] = corpus.frames(item)
    return torch.from_numpy(frames), torch.tensor([item.frames for item in batch])


def _batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in sorted(items, key=lambda one: one.frames):
        if batch and item.seconds * (len(batch) + 1) > SECONDS:
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
