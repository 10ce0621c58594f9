"""Sound files for training: decoded with PyAV, written as plain WAV."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import av
import numpy as np

from stages.errors import UserError
from stages.events import SAMPLE_RATE, Samples


class BadSound(UserError):
    """A sound file that cannot be used."""

    def __init__(self, file: Path, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file} cannot be used: {reason}.")


def load(file: Path) -> Samples:
    """Return a file as mono samples at ``SAMPLE_RATE``, -1..1.

    A rate is taken as what it says; below ``SAMPLE_RATE`` it is refused, for the upper half of
    the features would be empty. Opus files count as 16 kHz or more whatever they hold.

    Raises:
        BadSound: no sound in it, a rate that is too low, more than two channels.
    """
    try:
        with av.open(str(file)) as source:
            if not source.streams.audio:
                raise BadSound(file, "it holds no sound")
            stream = source.streams.audio[0]
            _check(file, stream.codec_context.sample_rate, stream.codec_context.channels)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            pieces = [
                made.to_ndarray()[0]
                for frame in (*source.decode(stream), None)
                for made in resampler.resample(frame)
            ]
    except (av.FFmpegError, OSError) as error:
        raise BadSound(file, str(error)) from error
    if not pieces:
        raise BadSound(file, "it holds no sound")
    return np.concatenate(pieces).astype(np.float32) / np.float32(32768)


def seconds(file: Path) -> float:
    """Open a file, and return how long it says it lasts, in seconds.

    It is decoded only if it does not say.

    Raises:
        BadSound: it cannot be opened, or ``load`` would refuse it.
    """
    try:
        with av.open(str(file)) as source:
            if not source.streams.audio:
                raise BadSound(file, "it holds no sound")
            context = source.streams.audio[0].codec_context
            _check(file, context.sample_rate, context.channels)
            lasts = source.duration  # microseconds
    except (av.FFmpegError, OSError) as error:
        raise BadSound(file, str(error)) from error
    return lasts / 1e6 if lasts else len(load(file)) / SAMPLE_RATE


def save(file: Path, samples: Samples) -> None:
    """Write samples at ``SAMPLE_RATE`` as 16-bit WAV; what is beyond -1..1 is cut off.

    Raises:
        OSError: it cannot be written.
    """
    made = io.BytesIO()
    with wave.open(made, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(SAMPLE_RATE)
        target.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    file.write_bytes(made.getvalue())


def _check(file: Path, hertz: int, channels: int) -> None:
    if hertz < SAMPLE_RATE:
        raise BadSound(file, f"its rate is {hertz} Hz; {SAMPLE_RATE} Hz are needed at least")
    if channels > 2:
        raise BadSound(file, f"it has {channels} channels; one or two are understood")
