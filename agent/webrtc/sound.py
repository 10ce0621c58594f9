"""Recorded sound: files in any format that FFmpeg reads, to mono samples; and wav files out."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from agent.errors import NotPossible
from stages.events import Samples

LONGEST_SECONDS = 600
"""Of one file: a caller that speaks longer is a mistake, and would fill the memory."""


def read(file: Path, rate: int) -> Samples:
    """Return a recording as mono samples at ``rate`` Hz. It blocks: call it in a thread.

    Raises:
        NotPossible: there is no such file, or no sound in it, or too much.
    """
    if not file.is_file():
        raise NotPossible(f"There is no recording {file}.")
    try:
        parts = _decode(file, rate)
    except (FFmpegError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NotPossible(f"{file} cannot be read as sound: {reason}.") from error
    if not parts:
        raise NotPossible(f"There is no sound in {file}.")
    return np.concatenate(parts)


def _decode(file: Path, rate: int) -> list[Samples]:
    parts: list[Samples] = []
    total = 0
    with av.open(str(file)) as container:
        if not container.streams.audio:
            return parts
        resampler = AudioResampler(format="flt", layout="mono", rate=rate)
        for frame in container.decode(container.streams.audio[0]):
            frame.pts = None  # gaps and offsets of a container are no part of the sound
            for out in resampler.resample(frame):
                parts.append(_mono(out))
                total += len(parts[-1])
            if total > LONGEST_SECONDS * rate:
                raise ValueError(f"it is longer than {LONGEST_SECONDS // 60} minutes")
        parts += [_mono(out) for out in resampler.resample(None)]
    return parts


def _mono(frame: AudioFrame) -> Samples:
    return frame.to_ndarray().reshape(-1).astype(np.float32, copy=False)


def write(file: Path, channels: list[npt.NDArray[np.int16]], rate: int) -> None:
    """Write a wav file of 16 bit, one channel an array; shorter ones are filled with silence."""
    length = max(len(channel) for channel in channels)
    sound = np.zeros((length, len(channels)), dtype="<i2")
    for number, channel in enumerate(channels):
        sound[: len(channel), number] = channel
    with wave.open(str(file), "wb") as out:
        out.setnchannels(len(channels))
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(sound.tobytes())
