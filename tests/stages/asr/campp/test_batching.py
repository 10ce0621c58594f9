"""When a batch runs, told in seconds that nobody waits for."""

from __future__ import annotations

import pytest

from stages.asr.campp.batching import Gathering, Waiting


def gathering(max_batch: int = 4) -> Gathering:
    return Gathering(max_batch, max_wait=0.08, period=0.32)


def test_nothing_queued_is_nothing_to_run() -> None:
    assert gathering().run_at(5.0) is None


def test_a_call_alone_never_waits() -> None:
    batch = gathering()
    batch.begin(0, now=0.0)
    batch.add(Waiting(0, "packet", 1.0))
    assert batch.run_at(1.0) == 1.0


def test_it_runs_as_soon_as_every_active_call_is_queued() -> None:
    batch = gathering()
    for slot in (0, 1, 2):
        batch.begin(slot, now=1.0)
    batch.add(Waiting(0, "a", 1.00))
    batch.add(Waiting(1, "b", 1.02))
    assert batch.run_at(1.02) == pytest.approx(1.08)
    batch.add(Waiting(2, "c", 1.03))
    assert batch.run_at(1.03) == 1.03
    assert [packet.work for packet in batch.take()] == ["a", "b", "c"]


def test_eighty_milliseconds_are_a_cap() -> None:
    batch = gathering()
    batch.begin(0, now=1.0)
    batch.begin(1, now=1.0)  # never sends
    batch.add(Waiting(0, "a", 1.0))
    assert batch.run_at(1.05) == pytest.approx(1.08)


def test_a_call_whose_next_packet_comes_too_late_is_not_waited_for() -> None:
    batch = gathering()
    batch.begin(0, now=1.0)
    batch.begin(1, now=1.0)
    batch.add(Waiting(1, "b", 1.0))
    batch.take()
    batch.add(Waiting(0, "a", 1.1))  # the other is due at 1.32, after 1.18
    assert batch.run_at(1.1) == 1.1
    batch.take()
    batch.add(Waiting(0, "a", 1.3))
    assert batch.run_at(1.3) == pytest.approx(1.38)  # now it is worth it


def test_a_call_that_went_silent_without_a_word_is_given_up() -> None:
    batch = gathering()
    batch.begin(0, now=1.0)
    batch.begin(1, now=1.0)
    batch.add(Waiting(0, "a", 2.0))
    assert batch.run_at(2.0) == 2.0


def test_a_final_waits_for_nobody() -> None:
    batch = gathering()
    batch.begin(0, now=1.0)
    batch.begin(1, now=1.0)
    batch.add(Waiting(0, "pause", 1.0, urgent=True))
    assert batch.run_at(1.0) == 1.0


def test_a_full_batch_leaves_the_rest_and_finals_go_first() -> None:
    batch = gathering(max_batch=2)
    for slot in range(3):
        batch.add(Waiting(slot, slot, 1.0 + slot / 100, urgent=slot == 2))
    assert [packet.work for packet in batch.take()] == [2, 0]
    assert [packet.work for packet in batch.take()] == [1]


def test_a_call_has_one_packet_in_a_batch() -> None:
    batch = gathering()
    batch.add(Waiting(0, "a", 1.0))
    with pytest.raises(ValueError, match="slot 0 has a packet"):
        batch.add(Waiting(0, "b", 1.0))


def test_a_packet_that_nobody_waits_for_is_dropped_once() -> None:
    batch = gathering()
    packet = Waiting(0, "a", 1.0)
    batch.add(packet)
    batch.remove(packet)
    batch.remove(packet)
    assert len(batch) == 0
