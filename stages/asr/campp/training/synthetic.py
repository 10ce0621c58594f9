"""Synthetic speech to train on: many voices out of a few, each clip a voice of its own.

A voice's pitch, pace and vocal tract are drawn anew for every clip. The tract is shortened or
lengthened by playing the sound faster or slower; pace and pitch are set the other way first.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from stages.asr.campp.training import sound, tails
from stages.asr.campp.training.tails import NotWritten
from stages.errors import UserError
from stages.events import SAMPLE_RATE, Samples

PATIENCE = 20.0
"""Seconds for one clip of another program."""

FLITE = ("slt", "rms", "awb", "kal16")
ESPEAK = ("en-us", "en-gb", "en-gb-scotland", "en-us-nyc")
VARIANTS = ("m1", "m3", "m5", "m7", "f1", "f2", "f3", "f4", "f5")

Speaker = Callable[[str, random.Random], tuple[str, Samples]]
"""Says a text; returns the voice's name and its sound at ``SAMPLE_RATE``."""


class NoVoice(UserError):
    """A voice that is asked for is not installed."""

    def __init__(self, name: str, hint: str) -> None:
        self.name = name
        super().__init__(f"The voice {name!r} is not here: {hint}.")


def speakers(names: dict[str, float]) -> tuple[list[Speaker], list[float]]:
    """Return the voices of these engines, and how often each shall be heard.

    Raises:
        NoVoice: an engine is not installed, or nobody knows it.
    """
    found: list[Speaker] = []
    for name in names:
        if name == "hibari":
            found.append(_hibari())
        elif name == "flite":
            found.append(_program(name, _flite))
        elif name == "espeak":
            found.append(_program("espeak-ng", _espeak))
        else:
            raise NoVoice(name, "known are hibari, flite and espeak")
    return found, list(names.values())


def speak(
    sentences: Callable[[random.Random], str],
    voices: dict[str, float],
    count: int,
    seed: int,
    folder: Path,
) -> Path:
    """Say ``count`` sentences into a folder, go on where an earlier run broke off.

    Clip ``n`` depends on the seed and ``n`` only.

    Returns:
        The manifest; it is there only when every clip is.

    Raises:
        NoVoice: an engine is not installed, or nobody knows it.
        NotWritten: the disk is full; what was said is kept.
    """
    manifest = folder / "manifest.jsonl"
    if manifest.exists():
        return manifest
    said, weights = speakers(voices)
    engines = list(voices)

    def clip(number: int) -> dict[str, object]:
        rng = random.Random(f"{seed}-{number}")
        text = sentences(rng)
        which = rng.choices(range(len(said)), weights)[0]
        voice, samples = said[which](text, rng)
        file = folder / f"{number:06d}.wav"
        sound.save(file, samples)
        return {
            "path": file.name,
            "set": engines[which],
            "text": text,
            "speaker": voice,
            "duration": round(len(samples) / SAMPLE_RATE, 3),
            "human": False,
        }

    begun = folder / "manifest.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = tails.whole_lines(begun)
        with begun.open("a", encoding="utf-8") as target:
            for number in range(done, count):
                target.write(json.dumps(clip(number)) + "\n")
                target.flush()
        begun.replace(manifest)
    except OSError as error:
        raise NotWritten(begun, str(error)) from error
    return manifest


def _hibari() -> Speaker:
    try:
        import hibari
    except ImportError as error:
        raise NoVoice("hibari", "pip install hibari-tts") from error
    from hibari import dsp

    engine: Any = hibari.Hibari(voice="heart", threads=1)

    def say(text: str, rng: random.Random) -> tuple[str, Samples]:
        tract, pitch = rng.uniform(0.82, 1.16), rng.uniform(0.55, 1.25)
        pace = rng.uniform(0.8, 1.3)
        pieces = []
        for phonemes in engine.phonemize(text):
            feed = {
                "ids": np.array([engine.ids(phonemes)], dtype=np.int64),
                "speed": np.array([pace / tract], dtype=np.float32),
            }
            *spectrum, melody = (one[0] for one in engine.sess.run(None, feed))
            melody = _sung(melody, pitch / tract, rng.uniform(0.6, 1.4))
            noise = np.random.default_rng(rng.randrange(2**32))
            pieces.append(dsp.synth(*spectrum, melody, noise))
        whole = np.concatenate(pieces) if pieces else np.zeros(1, np.float32)
        return "hibari-heart", _played(whole, dsp.SR, tract)

    return say


def _sung(melody: Samples, pitch: float, liveliness: float) -> Samples:
    """Move a melody in Hz up or down, and make its ups and downs larger or smaller."""
    voiced = melody >= 40.0
    if not voiced.any():
        return melody
    middle = float(np.median(melody[voiced]))
    moved = np.clip((middle + (melody - middle) * liveliness) * pitch, 50.0, 500.0)
    sung: Samples = np.where(voiced, moved, melody).astype(np.float32)
    return sung


def _program(name: str, command: Callable[..., tuple[str, list[str]]]) -> Speaker:
    path = shutil.which(name)
    if path is None:
        raise NoVoice(name, f"install the program {name} (a package of the same name)")

    def say(text: str, rng: random.Random) -> tuple[str, Samples]:
        tract, pace = rng.uniform(0.85, 1.18), rng.uniform(0.8, 1.25)
        with tempfile.TemporaryDirectory(prefix="firstword-speak-") as folder:
            made = Path(folder, "said.wav")
            voice, words = command(rng, pace / tract, str(made), text)
            subprocess.run(  # one sentence through one program: its own arguments, no shell
                [path, *words], check=True, timeout=PATIENCE, capture_output=True
            )
            samples, hertz = _wav(made)
        return voice, _played(samples, hertz, tract)

    return say


def _flite(rng: random.Random, pace: float, file: str, text: str) -> tuple[str, list[str]]:
    voice = rng.choice(FLITE)
    tuned = ["--setf", f"duration_stretch={1 / pace:.3f}"]
    if rng.random() < 0.7:
        middle = rng.uniform(80, 220)
        tuned += ["--setf", f"int_f0_target_mean={middle:.0f}"]
    return f"flite-{voice}", ["-voice", voice, *tuned, "-t", text, "-o", file]


def _espeak(rng: random.Random, pace: float, file: str, text: str) -> tuple[str, list[str]]:
    voice = f"{rng.choice(ESPEAK)}+{rng.choice(VARIANTS)}"
    tuned = ["-s", f"{160 * pace:.0f}", "-p", str(rng.randrange(20, 80))]
    return f"espeak-{voice}", ["-v", voice, *tuned, "-w", file, text]


def _wav(file: Path) -> tuple[Samples, int]:
    import wave

    with wave.open(str(file), "rb") as source:
        hertz = source.getframerate()
        raw = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2")
    return raw.astype(np.float32) / np.float32(32768), hertz


def _played(samples: Samples, hertz: int, faster: float) -> Samples:
    """Play a sound faster or slower, at ``SAMPLE_RATE``, with a loudness drawn elsewhere."""
    ratio = Fraction(SAMPLE_RATE / (hertz * faster)).limit_denominator(200)
    played = resample_poly(samples, ratio.numerator, ratio.denominator)
    peak = float(np.abs(played).max()) or 1.0
    out: Samples = (played * (0.5 / peak)).astype(np.float32)
    return out
