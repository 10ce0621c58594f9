"""Voices that are tones: the stage ``spectrum`` tells them apart by their pitch."""

from __future__ import annotations

import io
import wave

import numpy as np

from stages.events import SAMPLE_RATE, Samples


def voice(hertz: float, seconds: float, loud: float = 0.3) -> Samples:
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (loud * np.sin(2 * np.pi * hertz * at)).astype(np.float32)


def wav(hertz: float, seconds: float = 5.0) -> bytes:
    """Return a recording of a voice."""
    held = io.BytesIO()
    with wave.open(held, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes((voice(hertz, seconds) * 32_767).astype("<i2").tobytes())
    return held.getvalue()
