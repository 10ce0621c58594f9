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

UNKNOWN = 0xFFFF_FFFF
"""Length in the header of a wav file that was written before its length was known."""


def read(file: Path, rate: int) -> Samples:
    """Return a recording as mono samples at ``rate`` Hz. It blocks: call it in a thread.

    Raises:
        NotPossible: there is no such file, or no sound in it, or too much, or not all of it.
    """
    if not file.is_file():
        raise NotPossible(f"There is no recording {file}.")
    try:
        _check_whole(file)
        parts = _decode(file, rate)
    except PermissionError as error:
        raise NotPossible(f"{file} may not be read: {error.strerror}.") from error
    except (FFmpegError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NotPossible(
            f"{file} cannot be read as sound: {reason}. Give a wav, flac, ogg or mp3 that plays."
        ) from error
    if not parts:
        raise NotPossible(f"There is no sound in {file}.")
    return np.concatenate(parts)


def _check_whole(file: Path) -> None:
    """Refuse a wav file that ends before its header says: FFmpeg would play what there is.

    Files of no stated length (0, or the largest number: written to a pipe) are left to FFmpeg.
    """
    with file.open("rb") as data:
        if data.read(4) != b"RIFF" or data.read(8)[4:] != b"WAVE":
            return
        size = file.stat().st_size
        while len(head := data.read(8)) == 8:
            name, length = head[:4], int.from_bytes(head[4:], "little")
            if name == b"data":
                left = size - data.tell()
                if length not in (0, UNKNOWN) and left < length:
                    raise ValueError(f"it is cut short, {left} of {length} bytes are there")
                return
            data.seek(length + length % 2, 1)


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
