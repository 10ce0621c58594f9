"""Hears sound with the tiny model, alone and without an engine: what the engine must equal."""

from __future__ import annotations

import numpy as np

from stages.asr.campp.features import Fbank, Windows
from stages.asr.campp.graph import Graph
from stages.asr.campp.states import States
from stages.asr.campp.steps import LogProbs, Row, Steps
from stages.events import Samples


def windows_of(graph: Graph, fbank: Fbank, samples: Samples) -> list[np.ndarray]:
    """Return the full windows of an utterance."""
    return Windows(graph.geometry, fbank).hear(samples)


def alone(graph: Graph, windows: list[np.ndarray]) -> LogProbs:
    """Return the log-probabilities of an utterance that has the model to itself."""
    steps = Steps(graph, States(graph.geometry, 1), 1)
    rows = [stepped(steps, [Row(0, window)])[0] for window in windows]
    return np.concatenate(rows)


def stepped(steps: Steps, rows: list[Row]) -> list[LogProbs]:
    """Step rows that must all go well."""
    made = steps.run(rows)
    assert not any(isinstance(one, Exception) for one in made)
    return [one for one in made if isinstance(one, np.ndarray)]
