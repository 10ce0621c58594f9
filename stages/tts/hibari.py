"""The voice "heart": American English, a clause in about 25 ms on one thread."""

from __future__ import annotations

import unicodedata
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import hibari
import numpy as np
from anyio import to_thread
from hibari import dsp

from stages.audio import samples_in, silence
from stages.contracts import Options, Plugin, Sink, Source, Tts
from stages.errors import Transient, Unusable
from stages.events import Clause, Samples, Speech, Voice
from stages.models import ModelStore
from stages.threads import Workers

R = TypeVar("R")

STAGE = "tts hibari"
MODEL = "hibari-heart"
NAME = "heart"

SLOWEST, FASTEST = 0.5, 2.0
"""Voice rates that the model was made for."""

LOWEST_PITCH, HIGHEST_PITCH = -80.0, 150.0
"""Hz down and up; beyond them it is no voice any more."""

_VOICED = 40.0  # Hz; the model's own border between a tone and a breath
_DEEPEST = 60.0  # Hz

PATIENCE = 10.0
"""Seconds for one sentence."""

LEAD, TAIL = samples_in(15, dsp.SR), samples_in(220, dsp.SR)
"""Samples of silence that are kept before and after a sentence; the latter is a pause."""

_STEP = samples_in(5, dsp.SR)
_AUDIBLE = 0.001  # an "f" begins not far above it; the model's silence is at a tenth of it

BREATH = samples_in(60, dsp.SR)
"""Samples of silence in place of a clause that has nothing to say, like "…"."""


class HibariOptions(Options):
    """The settings of ``hibari``: it has none; rate, pitch and volume belong to the voice."""


class HibariTts:
    """Speaks English; the weights are shared, and hold no state."""

    def __init__(self, engine: hibari.Hibari) -> None:
        self._engine = engine
        self._workers = Workers(2)

    async def run(self, voice: Voice, source: Source[Clause], sink: Sink[Speech]) -> None:
        """Send a clause sentence by sentence; cancelling drops what is being made.

        Raises:
            Unusable: the voice cannot sound as asked, or a clause is not in Latin letters.
            Transient: the machine is so busy that a sentence took too long.
        """
        async with sink:
            _check(voice)
            async for clause in source:
                foreign = _foreign(clause.spoken)
                if foreign:
                    raise Unusable(STAGE, f"it cannot say {foreign!r}, only English")
                sentences = await self._step(partial(_sentences, self._engine, clause.spoken))
                if not sentences:
                    await sink.send(Speech(clause.number, silence(BREATH), dsp.SR, last=True))
                for at, phonemes in enumerate(sentences, 1):
                    samples = await self._step(partial(_say, self._engine, voice, phonemes))
                    last = at == len(sentences)
                    await sink.send(Speech(clause.number, samples, dsp.SR, last=last))

    async def _step(self, step: Callable[[], R]) -> R:
        try:
            with anyio.fail_after(PATIENCE):
                return await self._workers.run(step)
        except TimeoutError:
            raise Transient(STAGE, f"no sound after {PATIENCE:.0f} s") from None


def _sentences(engine: hibari.Hibari, text: str) -> list[str]:
    """Return the phonemes of each sentence; marks without words make the model groan."""
    return list(engine.phonemize(text)) if any(c.isalnum() for c in text) else []


def _say(engine: hibari.Hibari, voice: Voice, phonemes: str) -> Samples:
    """Return the sound of a sentence, at ``dsp.SR`` Hz."""
    feed = {
        "ids": np.array([engine.ids(phonemes)], dtype=np.int64),
        "speed": np.array([voice.rate], dtype=np.float32),
    }
    *spectrum, melody = (one[0] for one in engine.sess.run(None, feed))
    sung = np.maximum(melody + np.float32(voice.pitch), _DEEPEST)
    melody = np.where(melody >= _VOICED, sung, melody).astype(np.float32)
    sound = trimmed(dsp.synth(*spectrum, melody, np.random.default_rng()))
    samples: Samples = np.clip(sound * voice.volume, -1, 1).astype(np.float32)
    return samples


def trimmed(sound: Samples) -> Samples:
    """Return a sentence with little silence around it.

    The model puts about 280 ms before every sentence, which the caller would wait for, and 400
    after it.
    """
    whole = sound[: len(sound) - len(sound) % _STEP].reshape(-1, _STEP)
    heard = np.flatnonzero(np.sqrt(np.square(whole).mean(axis=1)) > _AUDIBLE)
    if not len(heard):
        return sound
    start = max(int(heard[0]) * _STEP - LEAD, 0)
    return sound[start : (int(heard[-1]) + 1) * _STEP + TAIL]


def _check(voice: Voice) -> None:
    if voice.name not in ("", NAME):
        raise Unusable(STAGE, f"it has no voice {voice.name!r}; there is: {NAME}")
    if not SLOWEST <= voice.rate <= FASTEST:
        raise Unusable(STAGE, f"a rate of {voice.rate} is not within {SLOWEST} to {FASTEST}")
    if not LOWEST_PITCH <= voice.pitch <= HIGHEST_PITCH:
        within = f"{LOWEST_PITCH:+.0f} to {HIGHEST_PITCH:+.0f} Hz"
        raise Unusable(STAGE, f"a pitch of {voice.pitch:+g} Hz is not within {within}")


def _foreign(text: str) -> str:
    """Return the letters of a text that are not Latin ones."""
    return "".join(
        letter
        for letter in text
        if letter.isalpha() and not unicodedata.name(letter, "").startswith(("LATIN", "MODIFIER"))
    )


def _load(folder: Path) -> hibari.Hibari:
    engine = hibari.Hibari(voice=NAME, model=str(folder / "hibari.onnx"), threads=1)
    for phonemes in engine.phonemize("Hello, I am Hibariwell."):  # an unknown word loads the rest
        _say(engine, Voice(), phonemes)
    return engine


@asynccontextmanager
async def _open(options: HibariOptions, store: ModelStore) -> AsyncIterator[HibariTts]:
    folder = await to_thread.run_sync(store.path, MODEL)
    yield HibariTts(await to_thread.run_sync(_load, folder))


plugin: Plugin[Tts] = Plugin(HibariOptions, _open, lambda options: (MODEL,))
