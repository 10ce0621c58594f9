"""Where speech ended: the level knows it sooner than a VAD."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.edge import ABOVE_FLOOR_DB, FADE_DB, QUIET_DB, RISE_DB, STEP, Edge
from stages.audio import samples_in
from stages.events import SAMPLE_RATE, Audio, Samples


def hiss(milliseconds: float, amplitude: float) -> Samples:
    noise = np.random.default_rng(1).standard_normal(samples_in(milliseconds)) * amplitude
    return noise.astype(np.float32)


def last_loud(samples: Samples, frame: int = 512) -> int | None:
    """Return the last position that is loud, hearing a frame at a time."""
    edge, last = Edge(), None
    for start in range(0, len(samples), frame):
        loud = edge.last_loud(Audio(samples[start : start + frame], start))
        last = last if loud is None else loud
    return last


def test_the_end_of_a_word_is_found_within_ten_milliseconds_inside_a_frame() -> None:
    word = np.concatenate([hiss(500, 0.0005), hiss(777, 0.1), hiss(600, 0.0005)])
    last = last_loud(word)
    assert last is not None
    assert abs(last - samples_in(1277)) <= STEP


def test_a_soft_ending_still_counts_as_speech() -> None:
    word = np.concatenate([hiss(500, 0.0003), hiss(400, 0.1), hiss(100, 0.01), hiss(500, 0.0003)])
    last = last_loud(word)
    assert last is not None
    assert last >= samples_in(990)


def test_noise_that_never_stops_is_no_word() -> None:
    edge = Edge()
    for start in range(0, 10 * SAMPLE_RATE, 512):
        edge.last_loud(Audio(hiss(32, 0.02), start))
    assert edge.last_loud(Audio(hiss(32, 0.02), 10 * SAMPLE_RATE)) is None


def test_digital_silence_is_silent() -> None:
    assert Edge().last_loud(Audio(np.zeros(512, dtype=np.float32), 0)) is None


def test_a_frame_of_any_length_is_heard() -> None:
    assert last_loud(hiss(200, 0.1), frame=7) is not None
    assert Edge().last_loud(Audio(np.zeros(0, dtype=np.float32), 0)) is None


@given(
    st.lists(st.tuples(st.integers(0, 700), st.floats(-5.5, -0.3)), max_size=60),
    st.integers(0, 2**32 - 1),
)
def test_it_is_what_its_definition_says(
    frames: list[tuple[int, float]], seed: int
) -> None:
    chance, edge = np.random.default_rng(seed), Edge()
    loudest, floor, start = -100.0, -30.0, 0
    for length, loud in frames:
        samples = (10**loud * chance.standard_normal(length)).astype(np.float32)
        expected = None
        for end in range(length, 0, -STEP):
            power = float(np.mean(np.square(samples[max(0, end - STEP) : end].astype(float))))
            level = 10 * float(np.log10(max(power, 1e-10)))
            loudest, floor = max(level, loudest - FADE_DB), min(level, floor + RISE_DB)
            if expected is None and level > max(loudest - QUIET_DB, floor + ABOVE_FLOOR_DB):
                expected = start + end
        assert edge.last_loud(Audio(samples, start)) == expected
        start += length
