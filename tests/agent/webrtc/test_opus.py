"""Sound through Opus and back, with libopus and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.line import FRAME, PLAYOUT_RATE
from agent.webrtc import opus
from agent.webrtc.track import OutgoingTrack
from stages.events import Samples
from tests.servers.tone_agent import tone

RATE = 16_000
PIECE = RATE // 50


def packets(seconds: float) -> list[bytes]:
    encoder, sound = opus.Encoder(), tone(seconds)
    return [encoder.encode(sound[at : at + FRAME]) for at in range(0, len(sound), FRAME)]


def decoders() -> list[opus.Decoder]:
    library = opus.libopus()
    assert library is not None, "PyAV's wheel brings libopus"
    return [opus.LibOpusDecoder(library, RATE), opus.AvDecoder(RATE)]


def pitch(samples: Samples, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate / len(samples)


def test_a_tone_comes_back_at_the_rate_that_is_wanted() -> None:
    for decoder in decoders():
        parts = [decoder.decode(packet) for packet in packets(0.5)]
        assert {len(part) for part in parts} == {PIECE}
        sound = np.concatenate(parts)[RATE // 10 :]
        assert pitch(sound, RATE) == pytest.approx(440, abs=5)
        assert float(np.abs(sound).max()) == pytest.approx(0.3, abs=0.06)


def test_packets_say_how_long_they_last() -> None:
    assert {opus.ticks_of(packet) for packet in packets(0.2)} == {960}
    assert opus.ticks_of(b"") == 0
    assert opus.ticks_of(b"\x03") == 0  # "count follows", and none does


@given(st.binary(max_size=60))
def test_no_bytes_break_a_decoder(payload: bytes) -> None:
    for decoder in decoders():
        try:
            sound = decoder.decode(payload) if payload else np.zeros(0)
        except opus.BadPacket:
            continue
        assert len(sound) <= opus.LONGEST_TICKS // 3


def test_a_loss_goes_on_as_it_sounded_with_libopus() -> None:
    library = opus.libopus()
    assert library is not None
    decoder = opus.LibOpusDecoder(library, RATE)
    for packet in packets(0.3):
        decoder.decode(packet)
    hidden = decoder.conceal(PIECE)
    assert len(hidden) == PIECE
    assert float(np.abs(hidden).max()) > 0.1


def test_a_loss_fades_to_silence_without_it() -> None:
    decoder = opus.AvDecoder(RATE)
    for packet in packets(0.3):
        decoder.decode(packet)
    hidden = decoder.conceal(PIECE)
    assert 0 < float(np.abs(hidden[:80]).max()) <= 0.4
    assert not hidden[80:].any()
    assert not decoder.conceal(PIECE).any()


def test_only_whole_frames_can_be_sent() -> None:
    with pytest.raises(ValueError, match="480 samples"):
        opus.Encoder().encode(np.zeros(FRAME + 1, dtype=np.float32))


def test_voice_takes_some_28_kilobits() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, PLAYOUT_RATE).astype(np.float32)
    encoder = opus.Encoder()
    size = sum(len(encoder.encode(noise[at : at + FRAME])) for at in range(0, len(noise), FRAME))
    assert 2_000 < size < 5_000


def test_silence_stays_inaudible_though_it_is_not_nothing() -> None:
    encoder, decoder = opus.Encoder(), opus.decoder(RATE)
    nothing = np.zeros(FRAME, dtype=np.float32)
    sound = np.concatenate([decoder.decode(encoder.encode(nothing)) for _ in range(20)])
    assert float(np.abs(sound).max()) < 10 ** (-70 / 20)


def test_an_encoder_that_is_let_go_leaves_no_threads() -> None:
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("only Linux lists the threads of a process")
    before = len(list(tasks.iterdir()))
    track = OutgoingTrack()
    track.on_tick = lambda now: track.play(lambda: tone(0.02))  # a circle, as in a call
    track.encode()
    assert len(list(tasks.iterdir())) >= before
    track.stop()
    assert len(list(tasks.iterdir())) == before
