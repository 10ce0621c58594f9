"""What the tests of campp may ask for: the tiny model, and sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.asr.campp.features import Fbank
from stages.asr.campp.graph import Graph, open_graph
from stages.events import Samples

TINY = Path(__file__).parent / "tiny.onnx"


@pytest.fixture(scope="session")
def tiny() -> Graph:
    """Return the tiny model, opened; made by make_tiny.py."""
    return open_graph(TINY)


@pytest.fixture(scope="session")
def fbank(tiny: Graph) -> Fbank:
    """Return the Fbank that the tiny model wants."""
    return Fbank(tiny.geometry.front)


def noise(seconds: float, seed: int = 0) -> Samples:
    """Return sound that changes all the time: noise in bursts of changing colour and loudness."""
    random = np.random.default_rng(seed)
    samples = random.standard_normal(round(seconds * 16000)).astype(np.float32)
    t = np.arange(len(samples), dtype=np.float32) / 16000
    envelope = 0.02 + 0.2 * np.abs(np.sin(2 * np.pi * (1.7 + seed % 5) * t))
    tone = np.sin(2 * np.pi * (300 + 200 * np.sin(2 * np.pi * 0.9 * t)) * t)
    return np.asarray((samples * 0.5 + tone) * envelope, dtype=np.float32)
