"""What a scripted caller says in tests, and how it is said by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agent.caller.mic import Mic
from agent.line import PLAYOUT_RATE
from agent.webrtc import sound
from stages.events import Samples


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * PLAYOUT_RATE), dtype=np.float32)


def wav(folder: Path, samples: Samples, name: str = "beep.wav", rate: int = PLAYOUT_RATE) -> Path:
    file = folder / name
    sound.write(file, [(samples * 32_767).astype(np.int16)], rate)
    return file


def spoken(mic: Mic, frames: int, *, first: int = 0, start: float = 10.0) -> None:
    for number in range(first, first + frames):
        mic.pull()
        due = start + number * 0.020
        mic.sent(number, due, due + 0.001)
