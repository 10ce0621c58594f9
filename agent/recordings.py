"""Recordings of any usual format, as the listening lane hears sound."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np

from agent.errors import NotPossible
from stages.events import SAMPLE_RATE, Samples

LONGEST_S = 120
"""Seconds of a recording that are read; what is longer is refused."""


def recording(source: Path | bytes, name: str = "") -> Samples:
    """Read a recording as mono samples at ``SAMPLE_RATE``.

    Args:
        source: a file, or what is in one.
        name: for sentences; by default the file's.

    Raises:
        NotPossible: there is no such file, it is no recording, it is too long or empty.
    """
    called = name or (str(source) if isinstance(source, Path) else "the recording")
    if isinstance(source, Path) and not source.is_file():
        raise NotPossible(f"There is no file {source}.")
    try:
        samples = _read(str(source) if isinstance(source, Path) else io.BytesIO(source), called)
    except (av.FFmpegError, IndexError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NotPossible(f"{called} is no recording that can be read ({reason}).") from error
    if not len(samples):
        raise NotPossible(f"{called} holds no sound.")
    return samples


def _read(source: str | io.BytesIO, called: str) -> Samples:
    parts: list[Samples] = []
    room = LONGEST_S * SAMPLE_RATE
    with av.open(source, "r") as container:
        converter = av.AudioResampler("flt", "mono", SAMPLE_RATE)
        for frame in container.decode(container.streams.audio[0]):
            for piece in converter.resample(frame):
                parts.append(piece.to_ndarray()[0])
                room -= len(parts[-1])
            if room < 0:
                raise NotPossible(f"{called} is longer than {LONGEST_S} s; cut a piece out of it.")
        parts += [piece.to_ndarray()[0] for piece in converter.resample(None)]
    whole = np.concatenate(parts) if parts else np.zeros(0)
    return np.asarray(whole, dtype=np.float32)
