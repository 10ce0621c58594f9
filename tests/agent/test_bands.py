"""Levels in bands: whenever they are looked at, they are what they would have been at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.bands import BANDS, HIGHEST_HZ, LOWEST_HZ, NOTHING_DB, SPARE, STEP_S, Bands, Decibels
from agent.echo import DELAYS, WINDOW, alike, softer
from stages.audio import silence
from stages.events import SAMPLE_RATE, Samples

KEPT = 12
STEP = round(STEP_S * SAMPLE_RATE)


def at_once(samples: Samples) -> Decibels:
    """Return the levels of a whole stream, each step for itself: what the definition says."""
    size = 2 * STEP
    edges = np.round(np.geomspace(LOWEST_HZ, HIGHEST_HZ, BANDS + 1) * size / SAMPLE_RATE)
    for place in range(1, len(edges)):
        edges[place] = max(edges[place], edges[place - 1] + 1)
    steps = []
    for at in range(0, len(samples) - size + 1, STEP):
        power = np.abs(np.fft.rfft(samples[at : at + size] * np.hanning(size + 1)[:-1])) ** 2
        sums = np.add.reduceat(power * 4 / size**2, edges.astype(int))[:BANDS]
        steps.append(10 * np.log10(sums + 1e-12))
    return np.array(steps).reshape(-1, BANDS)


@given(
    st.lists(
        st.tuples(st.integers(0, 5 * STEP), st.sampled_from([0.0, 1e-5, 0.1]), st.booleans()),
        min_size=1,
        max_size=40,
    ),
    st.integers(0, 2**32 - 1),
)
def test_it_does_not_matter_when_somebody_looks(
    pieces: list[tuple[int, float, bool]], seed: int
) -> None:
    chance, bands, heard = np.random.default_rng(seed), Bands(SAMPLE_RATE, KEPT), silence(0)
    for length, loud, look in pieces:
        piece = (loud * chance.standard_normal(length)).astype(np.float32)
        heard = np.concatenate([heard, piece])
        bands.push(piece)
        expected = at_once(heard)
        assert bands.count == len(expected)
        if look:
            before = np.full((KEPT, BANDS), NOTHING_DB)
            assert np.allclose(bands.last(KEPT), np.concatenate([before, expected])[-KEPT:])
            past = np.concatenate([before, expected])[-KEPT:-3]
            assert np.allclose(bands.last(KEPT - 3, before=3), past)


def test_a_stream_that_nobody_looks_at_is_not_kept() -> None:
    bands = Bands(SAMPLE_RATE, KEPT)
    for _ in range(1_000):
        bands.push(silence(512))
        assert sum(map(len, bands.waiting)) <= (KEPT + SPARE + 2) * STEP + 512
    assert bands.count == 1_999


levels = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(levels, st.floats(0, 1))
def test_likeness_is_the_correlation_at_each_delay(
    chance: np.random.Generator, silent: float
) -> None:
    said = np.where(chance.random((WINDOW + DELAYS, BANDS)) < silent, -60.0, -20.0)
    said += chance.uniform(0, 10, said.shape) * (said > -60)
    heard = chance.uniform(-90, -10, (WINDOW, BANDS))
    here = heard - heard.mean(axis=0)
    likeness = alike(said, heard)
    assert len(likeness) == DELAYS
    for delay in range(DELAYS):
        there = said[DELAYS - delay : DELAYS - delay + WINDOW]
        there = there - there.mean(axis=0)
        power = np.square(there).sum() * np.square(here).sum()
        assert np.isclose(likeness[delay], (there * here).sum() / np.sqrt(max(power, 1e-9)))


@given(levels, st.floats(0, 1))
def test_how_much_softer_is_the_median_of_each_band(
    chance: np.random.Generator, silent: float
) -> None:
    said = np.where(chance.random((WINDOW, BANDS)) < silent, -60.0, -20.0)
    said[:, 0] = -60.0
    heard = chance.uniform(-90, -10, (WINDOW, BANDS))
    enough = [int((band > -60).sum()) >= WINDOW // 8 for band in said.T]
    new = softer(said, heard)
    if not any(enough):
        assert new is None
        return
    assert new is not None
    apart = [
        float(np.median((heard - said)[said[:, band] > -60, band]))
        for band in range(BANDS)
        if enough[band]
    ]
    expected = iter(apart)
    for band in range(BANDS):
        wanted = next(expected) if enough[band] else float(np.mean(apart))
        assert np.isclose(new[band], wanted)
