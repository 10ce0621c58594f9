from __future__ import annotations

import numpy as np

from stages.asr.moonshine.network import loop, pieces_of
from stages.asr.moonshine.utterance import Utterance, invented, quiet_spot
from stages.audio import samples_in, silence
from stages.events import Audio, Samples


def babble(seconds: float, loudness: float = 0.1) -> Samples:
    """Return noise that goes up and down like speech."""
    made = np.random.default_rng(1).normal(0, loudness, samples_in(seconds * 1000))
    swell = np.abs(np.sin(np.arange(len(made)) / 3000))
    return (made * swell).astype(np.float32)


def test_a_long_piece_is_cut_where_nobody_speaks() -> None:
    piece = np.concatenate((babble(9), silence(samples_in(300)), babble(5)))
    assert samples_in(9000) < quiet_spot(piece) < samples_in(9300)


def test_sound_is_kept_by_position() -> None:
    utterance = Utterance(1, 1000, most=10_000)
    utterance.add(Audio(np.arange(500, dtype=np.float32), 1000))
    utterance.add(Audio(np.arange(500, 900, dtype=np.float32), 1500))
    assert utterance.end == 1900
    assert list(utterance.upto(1003)) == [0, 1, 2]
    utterance.forget(1500)
    assert (utterance.start, utterance.end) == (1500, 1900)
    assert list(utterance.upto(1502)) == [500, 501]


def test_an_utterance_that_nobody_transcribes_has_bounded_memory_and_counts_what_it_loses() -> None:
    utterance = Utterance(1, 0, most=1000)
    for start in range(0, 5000, 320):
        utterance.add(Audio(silence(320), start))
    assert len(utterance.upto(utterance.end)) == 1000
    assert utterance.lost == utterance.end - 1000


def test_words_for_a_hum_or_a_click_are_invented() -> None:
    hum: Samples = (np.sin(np.arange(32000) / 50) / 4).astype(np.float32)
    click = silence(32000)
    click[10_000:10_100] = 0.5
    assert invented("The first is the", hum)
    assert invented("Thank you.", click)
    assert invented("Mm-Hmm", hum)
    assert invented("You", babble(2))
    assert invented("♪♪", babble(2))
    assert not invented("Thank you.", babble(2))
    assert not invented("Turn on the lamp.", babble(2))


def test_a_microphone_that_is_turned_on_in_a_noisy_room_says_nothing() -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, 8000).astype(np.float32)
    assert invented("Mm-Hmm", np.concatenate((silence(16000), noise)))
    assert not invented("Mm-Hmm", np.concatenate((silence(16000), babble(1))))


def test_a_loop_is_noticed_and_an_insistent_caller_is_not() -> None:
    assert loop([1, 5, 6, 5, 6, 5, 6, 5, 6]) == 2
    assert loop([1, 9, 9, 9, 9, 9]) is None
    assert loop([5, 6, 5, 6, 5, 6]) is None


def test_a_whole_sentence_over_and_over_is_a_loop_sooner() -> None:
    sentence = [11, 12, 13, 14, 15, 16, 17]
    assert loop([1, *sentence, *sentence]) is None
    assert loop([1, *sentence, *sentence, *sentence]) == len(sentence)


def test_tokenizer_files_have_short_and_long_pieces() -> None:
    long = b"x" * 300
    assert pieces_of(b"\x02ab\x00\xac\x02" + long + b"\x01c") == [b"ab", b"", long, b"c"]
