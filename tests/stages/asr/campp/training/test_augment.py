from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")

from stages.asr.campp.training.augment import Augment, changed, in_a_room, noise
from stages.events import SAMPLE_RATE, Samples


def speech(seconds: float = 1.0) -> Samples:
    places = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * 300 * places)).astype(np.float32)


def power(samples: Samples) -> float:
    return float(np.square(samples).mean())


@pytest.mark.parametrize("seed", range(30))
def test_every_copy_is_sound_that_is_neither_cut_off_nor_silent(seed: int) -> None:
    copy = changed(speech(), Augment(), np.random.default_rng(seed))

    assert copy.dtype == np.float32
    assert np.isfinite(copy).all()
    assert 0.02 < np.abs(copy).max() <= 0.91
    assert 0.8 * SAMPLE_RATE < len(copy) < 2.2 * SAMPLE_RATE


def test_the_same_dice_make_the_same_copy() -> None:
    one, again, other = (changed(speech(), Augment(), np.random.default_rng(n)) for n in (1, 1, 2))

    assert np.array_equal(one, again)
    assert len(one) != len(other) or not np.array_equal(one, other)


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_faster_speech_is_shorter(speed: float) -> None:
    how = Augment(speeds=(speed,), noisy=0, roomy=0, narrow=0, hiss=0, silence=0)

    copy = changed(speech(), how, np.random.default_rng(0))

    assert len(copy) == pytest.approx(SAMPLE_RATE / speed, rel=0.01)


def test_noise_has_the_loudness_that_was_asked_for() -> None:
    how = Augment(
        speeds=(1.0,), noisy=1, snr_low=10, snr_high=10, roomy=0, narrow=0, hiss=0, silence=0
    )
    ratios = []
    for seed in range(20):
        copy = changed(speech(), how, np.random.default_rng(seed))
        scale = float(copy @ speech()) / float(speech() @ speech())
        ratios.append(power(speech() * scale) / power(copy - speech() * scale))

    assert 10 * np.log10(np.median(ratios)) == pytest.approx(10, abs=1)


@pytest.mark.parametrize("seed", range(8))
def test_noise_of_every_kind_has_unit_loudness(seed: int) -> None:
    assert power(noise(SAMPLE_RATE, np.random.default_rng(seed))) == pytest.approx(1, rel=0.01)


def test_a_room_goes_on_sounding_after_the_speaker_stops() -> None:
    clap = np.zeros(SAMPLE_RATE, np.float32)
    clap[100] = 1.0

    heard = in_a_room(clap, np.random.default_rng(3))

    assert len(heard) == len(clap)
    assert power(heard[101:2000]) > 0
    assert power(heard[2000:4000]) > power(heard[-2000:])
