"""What the scripted caller says: recordings, where speech lies in them, and the microphone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agent.caller.mic import Mic, Utterance, speech_bounds
from agent.errors import NotPossible
from agent.line import FRAME, PLAYOUT_RATE
from agent.webrtc import sound
from tests.agent.caller.sounds import quiet, spoken, wav
from tests.servers.tone_agent import tone

# --- the recordings ---


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_a_recording_of_any_rate_keeps_its_length(tmp_path: Path, rate: int) -> None:
    file = wav(tmp_path, np.zeros(rate, dtype=np.float32), rate=rate)
    assert len(sound.read(file, PLAYOUT_RATE)) == pytest.approx(PLAYOUT_RATE, abs=40)


def test_human_speech_in_flac_is_read(speech: Path) -> None:
    file = next((speech / "dev" / "en_assistant").glob("*.flac"))
    assert np.abs(sound.read(file, PLAYOUT_RATE)).max() > 0.01


def test_speech_begins_and_ends_where_it_is_loud_to_the_sample() -> None:
    samples = np.concatenate([quiet(0.3), tone(0.5), quiet(0.2)])
    start, end = speech_bounds(samples)
    assert start == pytest.approx(0.3 * PLAYOUT_RATE, abs=2)
    assert end == pytest.approx(0.8 * PLAYOUT_RATE - 1, abs=2)


def test_noise_far_below_the_voice_is_no_speech() -> None:
    noise = np.random.default_rng(2).normal(0, 0.0005, PLAYOUT_RATE).astype(np.float32)
    noise[5_000:9_000] += tone(4_000 / PLAYOUT_RATE)
    start, end = speech_bounds(noise)
    assert start == pytest.approx(5_000, abs=3)
    assert end == pytest.approx(8_999, abs=3)


def test_a_wav_that_was_cut_short_is_refused_and_says_by_how_much(tmp_path: Path) -> None:
    file = tmp_path / "cut.wav"
    sound.write(file, [np.ones(4800, np.int16)], PLAYOUT_RATE)
    file.write_bytes(file.read_bytes()[:-600])
    with pytest.raises(NotPossible, match="it is cut short, 9000 of 9600 bytes are there"):
        sound.read(file, PLAYOUT_RATE)


def test_a_wav_whose_writer_did_not_know_its_length_is_read(tmp_path: Path) -> None:
    file = tmp_path / "piped.wav"
    sound.write(file, [np.ones(4800, np.int16)], PLAYOUT_RATE)
    whole = file.read_bytes()
    file.write_bytes(whole[:40] + b"\xff\xff\xff\xff" + whole[44:])
    assert len(sound.read(file, PLAYOUT_RATE)) == 4800


def test_a_silent_recording_is_speech_as_a_whole() -> None:
    assert speech_bounds(quiet(0.1)) == (0, 2_399)


# --- the microphone ---


def test_each_sample_has_its_time_on_the_grid() -> None:
    mic, utterance = Mic(), Utterance(Path(), tone(0.1))
    spoken(mic, 3)
    mic.speak(utterance)
    spoken(mic, 5, first=3)
    assert utterance.done.is_set()
    # Frame 3 is due at 10.06 and carries the 20 ms before.
    assert utterance.when(0) == pytest.approx(10.04)
    assert utterance.when(FRAME) == pytest.approx(10.06)
    assert mic.jitter[0] == pytest.approx(0.001)


def test_a_slip_of_the_grid_moves_the_samples_after_it() -> None:
    mic, utterance = Mic(), Utterance(Path(), tone(0.1))
    mic.speak(utterance)
    spoken(mic, 2)
    spoken(mic, 3, first=7)  # five frames were left out
    assert utterance.when(FRAME) == pytest.approx(10.0)
    assert utterance.when(2 * FRAME) == pytest.approx(10.12)
    assert len(mic.recorded()) == 10 * FRAME


def test_speaking_again_cuts_the_first_off() -> None:
    mic, first, second = Mic(), Utterance(Path(), tone(1.0)), Utterance(Path(), tone(0.02))
    mic.speak(first)
    spoken(mic, 2)
    mic.speak(second)
    assert first.done.is_set()
    spoken(mic, 1, first=2)
    assert second.done.is_set()


def test_noise_after_the_last_word_is_no_last_sound() -> None:
    hiss = np.random.default_rng(3).normal(0, 0.004, round(0.4 * PLAYOUT_RATE))
    samples = np.concatenate([hiss, tone(0.5), hiss]).astype(np.float32)

    utterance = Utterance(Path(), samples)

    assert utterance.speech_start / PLAYOUT_RATE == pytest.approx(0.4, abs=0.011)
    assert utterance.speech_end / PLAYOUT_RATE == pytest.approx(0.9, abs=0.011)


def test_a_sound_that_never_pauses_is_speech_from_end_to_end() -> None:
    samples = tone(0.5)
    utterance = Utterance(Path(), samples)
    assert utterance.speech_start < PLAYOUT_RATE // 1000
    assert utterance.speech_end > len(samples) - PLAYOUT_RATE // 1000


def test_where_speech_is_known_to_end_it_ends_there() -> None:
    utterance = Utterance(Path(), tone(0.5), known=(0.1, 0.3))
    assert utterance.speech_start == round(0.1 * PLAYOUT_RATE)
    assert utterance.speech_end == round(0.3 * PLAYOUT_RATE)
    assert Utterance(Path(), tone(0.5), known=(0.0, 9.0)).speech_end == len(tone(0.5)) - 1
