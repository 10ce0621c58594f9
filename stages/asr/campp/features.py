"""Sound to windows of Fbank frames, packet by packet, exactly as over the whole utterance."""

from __future__ import annotations

import kaldi_native_fbank as knf
import numpy as np
import numpy.typing as npt

from stages.asr.campp.geometry import Front, Geometry
from stages.events import Samples

Frames = npt.NDArray[np.float32]
"""Fbank frames, shape (n, mels), natural logarithm."""


class Fbank:
    """Fbank of a piece of sound: nothing is kept from one piece to the next."""

    def __init__(self, front: Front) -> None:
        options = knf.FbankOptions()
        options.frame_opts.samp_freq = front.sample_rate
        options.frame_opts.dither = 0.0
        options.frame_opts.window_type = front.window
        options.frame_opts.snip_edges = True
        options.frame_opts.frame_shift_ms = front.hop * 1000 / front.sample_rate
        options.frame_opts.frame_length_ms = front.frame * 1000 / front.sample_rate
        options.mel_opts.num_bins = front.mels
        options.mel_opts.low_freq = front.low_hz
        options.mel_opts.high_freq = front.high_hz
        options.energy_floor = 0.0
        self._options = options
        self._front = front
        self.silence = self(np.zeros(front.frame, dtype=np.float32))
        """One frame of digital silence, shape (1, mels)."""

    def __call__(self, samples: Samples) -> Frames:
        """Return every frame that lies within ``samples``, shape (n, mels)."""
        bank = knf.OnlineFbank(self._options)
        # A list: the binding reads one twice as fast as an array.
        bank.accept_waveform(self._front.sample_rate, (samples * self._front.scale).tolist())
        bank.input_finished()
        count = bank.num_frames_ready
        if not count:
            return np.zeros((0, self._front.mels), dtype=np.float32)
        return np.stack([bank.get_frame(index) for index in range(count)])


class Windows:
    """Cuts one utterance into the windows that the model steps through.

    The sound is led in by ``lead_samples`` (zeros, or its own start mirrored), the frames by
    ``kept_frames`` of silence. With 240 zeros and one frame every packet of 5120 samples gives
    exactly one window, the first packet too, and no sample is waited for.
    """

    def __init__(self, geometry: Geometry, fbank: Fbank) -> None:
        self._geometry, self._fbank = geometry, fbank
        self._frames = np.repeat(fbank.silence, geometry.front.kept_frames, axis=0)
        self._sound: list[Samples] = []
        self._held = 0  # samples in _sound: from the start of the next frame on
        self._led = False
        self.heard = 0
        """Samples heard so far."""
        self.given = 0
        """Windows given so far."""

    def hear(self, samples: Samples) -> list[Frames]:
        """Take sound in, return the windows that are now complete, each (window, mels)."""
        self._sound.append(samples)
        self._held += len(samples)
        self.heard += len(samples)
        windows = []
        while self._lead_in() and self._held >= self._wanted():
            self._frames = self._with_new_frames()
            windows.append(self._frames[: self._geometry.window])
            self._frames = self._frames[self._geometry.shift :]
            self.given += 1
        return windows

    def rest(self) -> tuple[Frames, int] | None:
        """Return the window of what is left, filled up with silence, and its real output rows.

        Nothing changes: more sound may follow. None when no sample is left.
        """
        geometry = self._geometry
        left = self.heard - self.given * geometry.packet
        if left <= 0:
            return None
        copy = Windows(geometry, self._fbank)
        copy._frames, copy._sound, copy._held = self._frames, list(self._sound), self._held
        copy._led = self._led
        missing = max(geometry.packet, self._wanted()) + geometry.front.frame
        window = copy.hear(np.zeros(missing, dtype=np.float32))[0]
        return window, min(geometry.out_frames, -(-left // geometry.out_hop))

    def _wanted(self) -> int:
        """Samples that the next window's missing frames lie on."""
        front = self._geometry.front
        return (self._geometry.window - len(self._frames) - 1) * front.hop + front.frame

    def _lead_in(self) -> bool:
        front = self._geometry.front
        if self._led or not front.lead_samples:
            return True
        if front.lead == "mirror" and self._held < front.lead_samples:
            return False
        sound = np.concatenate(self._sound)
        lead = np.zeros(front.lead_samples, dtype=np.float32)
        if front.lead == "mirror":
            lead = sound[: front.lead_samples][::-1]
        self._sound, self._led = [lead, sound], True
        self._held += len(lead)
        return True

    def _with_new_frames(self) -> Frames:
        hop = self._geometry.front.hop
        sound = np.concatenate(self._sound)
        wanted = self._wanted()
        frames = self._fbank(np.ascontiguousarray(sound[:wanted]))
        sound = sound[len(frames) * hop :].copy()
        self._sound, self._held = [sound], len(sound)
        return np.concatenate([self._frames, frames])


def whole(geometry: Geometry, fbank: Fbank, samples: Samples) -> tuple[Frames, int]:
    """Return all frames of an utterance at once, and how many output rows are real.

    The frames are those that ``Windows`` gives, tail filled up with silence, laid end to end:
    for training, and to check streaming against.
    """
    front = geometry.front
    steps = -(-len(samples) // geometry.packet)
    count = (steps - 1) * geometry.shift + geometry.window - front.kept_frames
    lead = np.zeros(front.lead_samples, dtype=np.float32)
    if front.lead == "mirror":
        missing = max(0, front.lead_samples - len(samples))
        lead = np.pad(samples, (0, missing))[: front.lead_samples][::-1]
    sound = np.concatenate([lead, samples])
    needed = (count - 1) * front.hop + front.frame
    sound = np.pad(sound, (0, max(0, needed - len(sound))))[:needed]
    frames = fbank(sound.astype(np.float32))
    kept = np.repeat(fbank.silence, front.kept_frames, axis=0)
    return np.concatenate([kept, frames]), -(-len(samples) // geometry.out_hop)
