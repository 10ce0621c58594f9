"""A language that a tiny network learns in seconds: every letter is a tone of its own."""

from __future__ import annotations

import json
import random
import wave
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from stages.asr.campp.training import align, manifest, sound
from stages.asr.campp.training.config import Config, read
from stages.events import SAMPLE_RATE, Samples

TONES = {"a": 400.0, "b": 900.0, "c": 1700.0, "d": 3000.0}
VOWELS = {"a": "AA", "b": "EH", "c": "IY", "d": "UW"}
"""The phone that each letter counts as."""

LETTER = 0.2
"""Seconds of a letter; a gap of half as long follows."""

STEPS: dict[str, Any] = {
    "warm_up": 20,
    "cool_down": 40,
    "peak": 4e-3,
    "seconds": 20,
    "short_first": 0,
    "bands": 0,
    "gaps": 0,
    "chunks": [16, 0],
}


def silent(line: str) -> None:
    """Hear nothing of the progress."""


def sung(text: str, seed: int = 0) -> Samples:
    """Return the sound of a text."""
    rng = np.random.default_rng(seed)
    places = np.arange(int(LETTER * SAMPLE_RATE)) / SAMPLE_RATE
    gap = np.zeros(int(LETTER / 2 * SAMPLE_RATE), np.float32)
    pieces = [gap]
    for letter in text:
        tone = 0.3 * np.sin(2 * np.pi * TONES[letter] * places)
        pieces += [tone.astype(np.float32), gap]
    whole = np.concatenate(pieces)
    return (whole + 0.001 * rng.standard_normal(len(whole))).astype(np.float32)


def lasting(file: Path, seconds: float, hertz: int = SAMPLE_RATE) -> None:
    """Write silence of some rate."""
    with wave.open(str(file), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(hertz)
        target.writeframes(bytes(2 * int(seconds * hertz)))


def songbook(folder: Path, count: int = 200, seed: int = 1) -> Path:
    """Write clips and their manifest, return the manifest."""
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    lines = []
    for number in range(count):
        text = _word(rng)
        samples = sung(text, number)
        sound.save(folder / f"{number}.wav", samples)
        entry = {"path": f"{number}.wav", "set": "tones", "text": text}
        lines.append(json.dumps({**entry, "duration": len(samples) / SAMPLE_RATE}))
    manifest = folder / "manifest.jsonl"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def _word(rng: random.Random) -> str:
    """Return two to five letters, none after itself: twins are the hardest thing to hear."""
    letters = rng.choice("abcd")
    for _ in range(rng.randint(1, 4)):
        letters += rng.choice("abcd".replace(letters[-1], ""))
    return letters


def lesson(
    folder: Path, *, steps: int = 160, schedule: dict[str, Any] | None = None, **changed: Any
) -> Config:
    """Write a training of the songbook in ``folder/songs`` and read it."""
    content = {
        "seed": 5,
        "bfloat16": False,
        "network": {
            "width": 32,
            "heads": 2,
            "hidden": 48,
            "channels": 4,
            "kernel": 7,
            "layers": [1, 1],
            "strides": [2, 1],
            "dropout": 0.0,
        },
        "augment": {"roomy": 0, "narrow": 0, "noisy": 0, "silence": 0.1},
        "sources": [
            {"name": "tones", "manifest": "{data}/songs/manifest.jsonl", "hold_share": 0.15}
        ],
        "steps": {**STEPS, "total": steps, **(schedule or {})},
        "keep": {"minutes": 60, "look": 1000, "averaged": 2},
    }
    file = folder / "lesson.yaml"
    file.write_text(yaml.safe_dump({**content, **changed}))
    return read(file)


def chorus(folder: Path, *, prepared: bool = True) -> dict[str, Any]:
    """Return what changes a lesson so that phones are learned, a phone a letter.

    ``prepared`` writes the phones of the songbook in ``folder`` as an earlier run would have.
    """
    source = {
        "name": "tones",
        "manifest": "{data}/songs/manifest.jsonl",
        "hold_share": 0.15,
        "aligned": True,
    }
    schedule = {"phones": 1.0, "phones_after": 0.3, "phones_fade": 80}
    if prepared:
        clips = manifest.read(folder / "songs" / "manifest.jsonl")
        align.write_found("tones", clips, folder / "work", [_marks(clip.text) for clip in clips])
    return {"sources": [source], "schedule": schedule}


def _marks(text: str) -> align.Marks:
    gap, letter = (int(seconds * align.RATE) for seconds in (LETTER / 2, LETTER))
    said, place = [], gap
    for one in text:
        said.append((VOWELS[one], place, letter))
        place += letter + gap
    return align.spread(said, place)
