"""Opus: packets in and out.

Decoding goes straight to the rate that is wanted, and hides lost packets, with libopus itself
(PyAV offers neither). It is the one inside PyAV's wheel, else the system's; where there is
none, PyAV decodes and a loss fades to silence.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet

from agent.line import FRAME, PLAYOUT_RATE
from stages.events import Samples

BITRATE = 28_000
LONGEST_TICKS = 5_760
"""120 ms at 48 kHz: the longest packet that Opus knows."""

_CONCEAL_STEP = 120  # ticks: libopus hides losses in multiples of 2.5 ms
_FADE = 0.005  # seconds of the last sound, backwards, where nothing better can be had
_FLOOR: Samples = np.random.default_rng(0).normal(0, 1e-5, FRAME).astype(np.float32)
"""Noise at -100 dB, under all that is sent. Nobody hears it, but without it libopus takes three
times as long for silence as for speech: its filters run into denormal numbers."""
_log = logging.getLogger(__name__)


class BadPacket(ValueError):
    """It is no Opus."""


class Decoder(Protocol):
    """Decodes one stream of packets."""

    def decode(self, payload: bytes) -> Samples:
        """Return the samples of the next packet; raise ``BadPacket`` where it is none."""

    def conceal(self, count: int) -> Samples:
        """Return that many samples in place of a packet that did not come."""


def ticks_of(payload: bytes) -> int:
    """Return how long a packet lasts, in ticks of 1/48000 s (RFC 6716, 3.1); 0 if it is broken."""
    if not payload:
        return 0
    config, code = payload[0] >> 3, payload[0] & 3
    if config < 12:
        each = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        each = (480, 960)[config & 1]
    else:
        each = (120, 240, 480, 960)[config & 3]
    if code == 3 and len(payload) < 2:
        return 0
    frames = (1, 2, 2, 0)[code] or payload[1] & 0x3F
    return each * frames if each * frames <= LONGEST_TICKS else 0


def decoder(rate: int) -> Decoder:
    """Return a decoder for mono sound at ``rate`` Hz: 8000, 12000, 16000, 24000 or 48000."""
    library = libopus()
    return LibOpusDecoder(library, rate) if library else AvDecoder(rate)


@functools.cache
def libopus() -> ctypes.CDLL | None:
    """Return libopus, or none where there is none."""
    for name in _candidates():
        try:
            library = ctypes.CDLL(name)
            _declare(library)
        except (OSError, AttributeError):
            continue
        return library
    _log.warning("libopus was not found: lost packets become silence")
    return None


def _candidates() -> Iterator[str]:
    bundled = Path(av.__file__).parent.parent / "av.libs"
    yield from sorted(str(file) for file in bundled.glob("libopus-*"))
    system = ctypes.util.find_library("opus")
    if system:
        yield system


def _declare(library: ctypes.CDLL) -> None:
    library.opus_decoder_create.restype = ctypes.c_void_p
    library.opus_decoder_create.argtypes = [
        ctypes.c_int32,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_int),
    ]
    library.opus_decoder_destroy.restype = None
    library.opus_decoder_destroy.argtypes = [ctypes.c_void_p]
    library.opus_decode_float.restype = ctypes.c_int
    library.opus_decode_float.argtypes = [
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_int32,
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_int,
    ]


class LibOpusDecoder:
    """libopus itself: decodes at any of its rates and hides losses."""

    def __init__(self, library: ctypes.CDLL, rate: int) -> None:
        error = ctypes.c_int()
        self._library = library
        self._rate = rate
        self._state = library.opus_decoder_create(rate, 1, ctypes.byref(error))
        if error.value or not self._state:
            raise ValueError(f"libopus has no decoder for {rate} Hz (error {error.value})")
        self._room: Samples = np.zeros(LONGEST_TICKS * rate // 48_000, dtype=np.float32)
        self._place = self._room.ctypes.data

    def decode(self, payload: bytes) -> Samples:
        """Return the samples of the next packet."""
        count = self._library.opus_decode_float(
            self._state, payload, len(payload), self._place, len(self._room), 0
        )
        if count < 0:
            raise BadPacket(f"libopus cannot decode a packet of {len(payload)} bytes ({count})")
        return self._room[:count].copy()

    def conceal(self, count: int) -> Samples:
        """Go on for that many samples as the sound went before, fading."""
        step = _CONCEAL_STEP * self._rate // 48_000
        hidden = np.zeros(count, dtype=np.float32)
        done = 0
        while count - done >= step:
            size = min(count - done, len(self._room)) // step * step
            if self._library.opus_decode_float(self._state, None, 0, self._place, size, 0) != size:
                break
            hidden[done : done + size] = self._room[:size]
            done += size
        return hidden

    def __del__(self) -> None:
        if getattr(self, "_state", None):
            self._library.opus_decoder_destroy(self._state)


class AvDecoder:
    """PyAV: decodes at 48 kHz and resamples; a loss fades to silence."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._codec = CodecContext.create("opus", "r")
        self._codec.sample_rate = 48_000
        self._codec.layout = "mono"
        self._resampler = AudioResampler(format="flt", layout="mono", rate=rate)
        self._ready: Samples = np.zeros(0, dtype=np.float32)
        self._tail: Samples = np.zeros(0, dtype=np.float32)

    def decode(self, payload: bytes) -> Samples:
        """Return the samples of the next packet."""
        count = ticks_of(payload) * self._rate // 48_000
        if not count:
            raise BadPacket(f"a packet of {len(payload)} bytes is no Opus")
        try:
            frames = self._codec.decode(Packet(payload))
        except FFmpegError as error:
            raise BadPacket(str(error)) from error
        parts = [self._ready]
        for frame in frames:
            parts += [_mono(out) for out in self._resampler.resample(frame)]
        sound = np.concatenate(parts)
        if len(sound) < count:  # the resampler holds its first samples back once
            sound = np.concatenate([np.zeros(count - len(sound), dtype=np.float32), sound])
        self._ready = sound[count:]
        self._tail = sound[count - min(count, int(_FADE * self._rate)) : count]
        return sound[:count]

    def conceal(self, count: int) -> Samples:
        """Mirror the last sound for 5 ms, fading; then silence."""
        hidden = np.zeros(count, dtype=np.float32)
        size = min(count, len(self._tail))
        if size:
            hidden[:size] = self._tail[::-1][:size] * np.linspace(1, 0, size, dtype=np.float32)
            self._tail = self._tail[:0]
        return hidden


def _mono(frame: AudioFrame) -> Samples:
    return frame.to_ndarray().reshape(-1).astype(np.float32, copy=False)


class Encoder:
    """Encodes playout: mono at ``PLAYOUT_RATE``, ``FRAME`` samples a packet."""

    def __init__(self) -> None:
        codec = CodecContext.create("libopus", "w")
        codec.sample_rate = PLAYOUT_RATE
        codec.layout = "mono"
        codec.format = "flt"
        codec.bit_rate = BITRATE
        codec.time_base = Fraction(1, PLAYOUT_RATE)
        codec.options = {"application": "voip", "compression_level": "5", "frame_duration": "20"}
        codec.open()
        self._codec = codec
        self._place = 0

    def encode(self, samples: Samples) -> bytes:
        """Return the packet of ``FRAME`` samples.

        Raises:
            ValueError: there are more or fewer of them.
        """
        if samples.shape != (FRAME,):
            raise ValueError(f"a frame of playout has {FRAME} samples, not {samples.shape}")
        sound = (samples + _FLOOR).astype(np.float32, copy=False)
        frame = AudioFrame.from_ndarray(sound.reshape(1, -1), "flt", "mono")
        frame.sample_rate = PLAYOUT_RATE
        frame.pts = self._place
        self._place += FRAME
        return b"".join(bytes(packet) for packet in self._codec.encode(frame))
