"""Packets become windows exactly, and what was cut into packets is what was whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.asr.campp.features import Fbank, Windows, whole
from stages.asr.campp.geometry import Front, Geometry

OURS = Geometry(width=64, heads=4, vocabulary=10)
WENET = Geometry(
    width=64,
    heads=4,
    vocabulary=10,
    subsampling=4,
    chunk=8,
    strides=(1, 1, 1),
    positions="absolute",
    front=Front(window="povey", lead_samples=0, kept_frames=0),
)
MIRRORED = OURS.model_copy(
    update={"front": Front(window="povey", lead="mirror", lead_samples=120, kept_frames=0)}
)
EVERY_KIND = pytest.mark.parametrize(
    "geometry", [OURS, WENET, MIRRORED], ids=["ours", "wenet", "sherpa"]
)


def bursts(samples: int, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(samples) * 0.1).astype(np.float32)


def test_every_packet_of_a_minute_gives_one_window_of_sixteen_frames() -> None:
    fbank, sound = Fbank(OURS.front), bursts(60 * 16000)
    windows = Windows(OURS, fbank)
    for packet in range(len(sound) // 5120):
        given_windows = windows.hear(sound[packet * 5120 : (packet + 1) * 5120])
        assert [window.shape for window in given_windows] == [(33, 80)]
    assert OURS.packet == 5120
    assert (OURS.window - 3) // 2 + 1 == OURS.chunk == 16


def test_one_sample_less_than_a_packet_gives_nothing_yet() -> None:
    windows = Windows(OURS, Fbank(OURS.front))
    sound = bursts(5120)
    assert windows.hear(sound[:5119]) == []
    assert len(windows.hear(sound[5119:])) == 1


@pytest.mark.parametrize("chunk", [8, 16, 32])
def test_a_packet_is_as_long_as_the_chunk_says(chunk: int) -> None:
    geometry = OURS.model_copy(update={"chunk": chunk})
    windows = Windows(geometry, Fbank(geometry.front))
    assert geometry.packet == chunk * 320
    assert len(windows.hear(bursts(geometry.packet))) == 1


@EVERY_KIND
@settings(max_examples=15, deadline=None)
@given(pieces=st.lists(st.integers(1, 4000), min_size=1, max_size=12), seed=st.integers(0, 9))
def test_however_sound_is_cut_the_frames_are_those_of_the_whole(
    geometry: Geometry, pieces: list[int], seed: int
) -> None:
    fbank, sound = Fbank(geometry.front), bursts(sum(pieces), seed)
    windows, given_windows, at = Windows(geometry, fbank), [], 0
    for piece in pieces:
        given_windows += windows.hear(sound[at : at + piece])
        at += piece
    rest = windows.rest()
    if rest is not None:
        given_windows.append(rest[0])
    frames, rows = whole(geometry, fbank, sound)
    for index, window in enumerate(given_windows):
        start = index * geometry.shift
        expected = frames[start : start + geometry.window]
        np.testing.assert_allclose(window[: len(expected)], expected, atol=1e-5)
    full = len(given_windows) - (rest is not None)
    told = full * geometry.out_frames + (rest[1] if rest else 0)
    # A front end that looks ahead leaves what it never saw the end of, as WeNet's own does.
    assert rows - told <= (0 if geometry.front.kept_frames else 2)


def test_looking_at_the_rest_changes_nothing() -> None:
    fbank, sound = Fbank(OURS.front), bursts(5120 * 3)
    looked, plain = Windows(OURS, fbank), Windows(OURS, fbank)
    for at in range(0, len(sound), 700):
        one, other = looked.hear(sound[at : at + 700]), plain.hear(sound[at : at + 700])
        looked.rest()
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_rest_tells_how_many_rows_are_real() -> None:
    windows = Windows(OURS, Fbank(OURS.front))
    assert windows.rest() is None
    windows.hear(bursts(1280))
    rest = windows.rest()
    assert rest is not None
    assert rest[1] == 1  # a row is 80 ms with strides 1, 2, 2
    windows.hear(bursts(1))
    rest = windows.rest()
    assert rest is not None
    assert rest[1] == 2


def test_a_long_stream_keeps_no_more_than_a_packet() -> None:
    windows = Windows(OURS, Fbank(OURS.front))
    for _ in range(300):
        windows.hear(bursts(1600))
    assert sum(len(piece) for piece in windows._sound) < 5120 + 400
