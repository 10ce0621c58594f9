"""Human speech, which lies beside the project, and sounds that are none."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np

from stages.audio import samples_in
from stages.events import Samples


def clip(speech: Path, path: str) -> Samples:
    """Return a clip as ``SAMPLE_RATE`` mono samples, -1..1; ``path`` is from the manifest."""
    with av.open(str(speech / path)) as file:
        frames = [frame.to_ndarray() for frame in file.decode(audio=0)]
    samples: Samples = np.concatenate(frames, axis=1)[0].astype(np.float32) / 32768
    return samples


def noise(seconds: float, loudness: float) -> Samples:
    """Return noise of a level (RMS), the same each time."""
    made = np.random.default_rng(1).normal(0, loudness, samples_in(seconds * 1000))
    return made.astype(np.float32)


def texts(speech: Path) -> dict[str, str]:
    """Return what is said in the dev clips that are fit for scoring, by path."""
    lines = (speech / "dev" / "manifest.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return {entry["path"]: entry["text"] for entry in entries if entry["use_for_scoring"]}


def word_errors(said: str, heard: str) -> int:
    """Return how many words must be changed, put in or left out to get from one to the other."""
    want, got = _words(said), _words(heard)
    row = list(range(len(got) + 1))
    for at, word in enumerate(want, 1):
        corner, row[0] = row[0], at
        for other, heard_word in enumerate(got, 1):
            step = min(row[other] + 1, row[other - 1] + 1, corner + (word != heard_word))
            corner, row[other] = row[other], step
    return row[-1]


def _words(text: str) -> list[str]:
    kept = (c for c in text.lower().replace("-", " ") if c.isalnum() or c in " '")
    return "".join(kept).split()
