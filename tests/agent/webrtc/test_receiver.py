"""From packets to sound: no gaps, silence in real time, no delay that stays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from agent.line import FRAME
from agent.webrtc import opus
from agent.webrtc.receiver import PATIENCE, Receiver
from stages.events import SAMPLE_RATE, Samples
from tests.servers.tone_agent import tone

PIECE = SAMPLE_RATE // 50
TICK = 0.020


@dataclass(eq=False)
class Heard:
    """A receiver, fed by hand with a clock that the test moves."""

    pieces: list[tuple[int, Samples]] = field(default_factory=list)
    packets: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.receiver = Receiver(SAMPLE_RATE, 0.0, self._take)
        encoder, sound = opus.Encoder(), tone(2.0)
        self.packets = [
            encoder.encode(sound[at : at + FRAME]) for at in range(0, len(sound), FRAME)
        ]

    def _take(self, samples: Samples, position: int, arrival: float) -> None:
        assert position == self.end, "no gaps, no overlaps"
        self.pieces.append((position, samples))

    @property
    def end(self) -> int:
        return sum(len(samples) for _, samples in self.pieces)

    def give(self, number: int, now: float, *, source: int = 1, stamp: int | None = None) -> None:
        at = number * 960 if stamp is None else stamp
        self.receiver.packet(source, number, at, self.packets[number % 100], now)

    def level(self, position: int) -> float:
        sound = np.concatenate([samples for _, samples in self.pieces])
        return float(np.abs(sound[position : position + PIECE]).max(initial=0.0))


def test_each_packet_becomes_sound_as_it_arrives() -> None:
    heard = Heard()
    for number in range(10):
        heard.give(number, number * TICK)
        assert heard.end == (number + 1) * PIECE


def test_a_lost_packet_is_concealed_and_no_delay_stays() -> None:
    heard = Heard()
    for number in range(40):
        if number != 20:
            heard.give(number, number * TICK)
    assert heard.end == 40 * PIECE
    assert heard.level(20 * PIECE) > 0.1, "made up, not silent"
    assert (heard.receiver.missing, heard.receiver.concealed) == (1, PIECE)


def test_when_nothing_comes_there_is_silence_in_real_time() -> None:
    heard = Heard()
    for number in range(10):
        heard.give(number, number * TICK)
    last = 9 * TICK
    heard.receiver.fill(last + PATIENCE / 2)
    assert heard.end == 10 * PIECE, "a short stall may still bring its packets"
    heard.receiver.fill(last + 1.0)
    assert heard.end == pytest.approx(10 * PIECE + SAMPLE_RATE, abs=PIECE)
    assert heard.level(20 * PIECE) == 0.0


def test_a_short_stall_loses_no_word() -> None:
    heard = Heard()
    for number in range(20):
        late = 0.200 if 5 <= number < 15 else 0.0
        heard.receiver.fill(max(number * TICK, 0.3 if late else 0.0))
        heard.give(number, max(number * TICK, 5 * TICK + late))
    assert heard.end == 20 * PIECE
    assert heard.receiver.late == heard.receiver.missing == 0


def test_after_a_long_silence_the_caller_is_heard_without_delay() -> None:
    heard = Heard()
    for number in range(5):
        heard.give(number, number * TICK)
    for step in range(5, 100):  # the network is gone for two seconds
        heard.receiver.fill(step * TICK)
    for number in range(100, 120):
        heard.give(number, number * TICK)
    assert heard.end == pytest.approx(120 * PIECE, abs=2 * PIECE)
    assert heard.level(heard.end - PIECE) > 0.1


def test_a_sender_whose_clock_stood_still_is_heard_again_soon() -> None:
    heard = Heard()
    for number in range(5):
        heard.give(number, number * TICK)
    for step in range(5, 50):
        heard.receiver.fill(step * TICK)
    for number in range(5, 40):  # numbers and stamps go on as if no time had passed
        heard.receiver.fill((45 + number) * TICK)
        heard.give(number, (45 + number) * TICK)
    assert heard.level(heard.end - PIECE) > 0.1


def test_another_source_goes_on_at_once() -> None:
    heard = Heard()
    for number in range(5):
        heard.give(number, number * TICK)
    for number in range(5):
        heard.give(number, (5 + number) * TICK, source=2, stamp=4_000_000_000 + number * 960)
    assert heard.end == 10 * PIECE
    assert heard.receiver.late == 0


def test_a_caller_who_sends_no_sound_at_all_is_silent_from_the_start() -> None:
    heard = Heard()
    for step in range(100):
        heard.receiver.fill(step * TICK)
    assert heard.end == pytest.approx(2 * SAMPLE_RATE, abs=2 * PIECE)


def test_jitter_does_not_move_the_time_of_a_sample() -> None:
    heard = Heard()
    delays = [0.030, 0.012, 0.055, 0.010, 0.018] * 8
    for number, delay in enumerate(delays):
        heard.give(number, number * TICK + delay)
    # Sample 0 of packet 3, the fastest, was due 20 ms before that packet was there.
    assert heard.receiver.when(3 * PIECE) == pytest.approx(3 * TICK + 0.010 - TICK)


def test_a_drifting_clock_is_followed() -> None:
    heard = Heard()
    drift = 1.0002  # the caller's sound card is slow by 200 ppm
    count = 6_000  # two minutes
    for number in range(count):
        heard.give(number, number * TICK * drift)
    late = heard.receiver.when(count * PIECE) - (count - 1) * TICK * drift
    assert abs(late) < 0.013


def test_garbage_is_counted_and_hurts_nobody() -> None:
    heard = Heard()
    heard.give(0, 0.0)
    heard.receiver.packet(1, 1, 960, b"", 0.02)
    heard.receiver.packet(1, 1, 960, b"\xff\xff\xff", 0.02)
    heard.give(2, 0.04)
    heard.give(3, 0.06)
    assert heard.receiver.broken >= 1
    assert heard.end >= PIECE
