"""Packets in any order, lost, doubled: pieces come out in order, without gap or overlap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.webrtc.reorder import LEAP, Piece, ReorderBuffer

TICKS = 960


def fed(buffer: ReorderBuffer, *numbers: int) -> list[Piece]:
    pieces: list[Piece] = []
    for number in numbers:
        stamp, sequence = (number * TICKS) % (1 << 32), number % (1 << 16)
        pieces += buffer.add(sequence, stamp, TICKS, b"%d" % number)
    return pieces


def said(pieces: list[Piece]) -> list[int | None]:
    return [None if piece.payload is None else int(piece.payload) for piece in pieces]


def assert_seamless(pieces: list[Piece]) -> None:
    place = 0
    for piece in pieces:
        assert piece.start == place
        assert piece.ticks > 0
        place = piece.end


def test_packets_in_order_pass_at_once() -> None:
    buffer = ReorderBuffer()
    assert said(fed(buffer, 5)) == [5]
    assert said(fed(buffer, 6)) == [6]
    assert (buffer.late, buffer.missing) == (0, 0)


def test_an_overtaken_packet_takes_its_place() -> None:
    buffer = ReorderBuffer()
    assert said(fed(buffer, 1)) == [1]
    assert said(fed(buffer, 3)) == []
    assert said(fed(buffer, 2)) == [2, 3]


def test_a_lost_packet_is_given_up_after_three_others_and_costs_no_delay_later() -> None:
    buffer = ReorderBuffer()
    assert said(fed(buffer, 1, 3, 4, 5)) == [1]
    pieces = fed(buffer, 6)
    assert said(pieces) == [None, 3, 4, 5, 6]
    assert pieces[0].lost
    assert buffer.missing == 1
    assert said(fed(buffer, 7)) == [7]


def test_what_comes_after_it_was_given_up_is_late() -> None:
    buffer = ReorderBuffer()
    fed(buffer, 1, 3, 4, 5, 6)
    assert fed(buffer, 2) == []
    assert buffer.late == 1


def test_a_packet_twice_is_heard_once() -> None:
    buffer = ReorderBuffer()
    assert said(fed(buffer, 1, 1, 2, 2, 4, 4, 3)) == [1, 2, 3, 4]
    assert buffer.late == 3


def test_a_gap_that_the_sender_left_is_no_loss_and_nothing_waits_for_it() -> None:
    buffer = ReorderBuffer()
    buffer.add(1, 0, TICKS, b"1")
    pieces = buffer.add(2, 5 * TICKS, TICKS, b"2")
    assert said(pieces) == [None, 2]
    assert not pieces[0].lost
    assert pieces[0].ticks == 4 * TICKS
    assert buffer.missing == 0


def test_numbers_that_wrap_around_are_nothing_special() -> None:
    buffer = ReorderBuffer()
    first = (1 << 32) // TICKS - 2
    pieces: list[Piece] = []
    for step in range(5):
        stamp = ((first + step) * TICKS) % (1 << 32)
        pieces += buffer.add((65_534 + step) % 65_536, stamp, TICKS, b"%d" % step)
    assert said(pieces) == [0, 1, 2, 3, 4]
    assert_seamless(pieces)


def test_a_sender_that_begins_again_goes_on_where_we_are() -> None:
    buffer = ReorderBuffer()
    fed(buffer, 1, 2)
    pieces = buffer.add(3, 90 * LEAP, TICKS, b"3")
    assert said(pieces) == [3]
    assert pieces[0].start == 2 * TICKS
    assert said(buffer.add(4, 90 * LEAP + TICKS, TICKS, b"4")) == [4]
    assert buffer.leaps == 1


def test_a_very_old_packet_is_late_and_no_new_beginning() -> None:
    buffer = ReorderBuffer()
    fed(buffer, *range(100, 200))
    assert fed(buffer, 101) == []
    assert said(fed(buffer, 200)) == [200]
    assert (buffer.late, buffer.leaps) == (1, 0)


def test_skipped_time_is_silence_and_what_belonged_there_is_late() -> None:
    buffer = ReorderBuffer()
    fed(buffer, 1)
    assert buffer.skip(TICKS) == Piece(TICKS, TICKS, None)
    assert fed(buffer, 2) == []
    assert said(fed(buffer, 3)) == [3]


def test_after_a_restart_any_time_stamp_goes_on_here() -> None:
    buffer = ReorderBuffer()
    fed(buffer, 1, 2)
    buffer.restart()
    pieces = buffer.add(7, 12_345, TICKS, b"7")
    assert [(piece.start, piece.payload) for piece in pieces] == [(2 * TICKS, b"7")]


def test_flushing_gives_what_was_held_back() -> None:
    buffer = ReorderBuffer()
    fed(buffer, 1, 3)
    assert said(buffer.flush()) == [None, 3]
    assert buffer.flush() == []


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=200),
    st.integers(0, 8),
    st.integers(0, (1 << 16) - 1),
)
def test_any_order_loss_and_doubles_give_a_seamless_stream(
    numbers: list[int], wait: int, offset: int
) -> None:
    buffer = ReorderBuffer(wait)
    pieces = fed(buffer, *(offset + number for number in numbers)) + buffer.flush()
    assert_seamless(pieces)
    heard = [number for number in said(pieces) if number is not None]
    assert heard == sorted(set(heard))
    assert set(heard) <= {offset + number for number in numbers}
    assert len(heard) + buffer.late == len(numbers)


@given(
    st.lists(
        st.tuples(
            st.integers(0, (1 << 16) - 1),
            st.integers(0, (1 << 32) - 1),
            st.sampled_from([120, 480, 960, 1920, 2880, 5760]),
        ),
        max_size=100,
    )
)
def test_whatever_a_sender_writes_the_stream_stays_seamless(
    packets: list[tuple[int, int, int]],
) -> None:
    buffer = ReorderBuffer()
    pieces: list[Piece] = []
    for sequence, stamp, ticks in packets:
        pieces += buffer.add(sequence, stamp, ticks, b"x")
    pieces += buffer.flush()
    assert_seamless(pieces)
    # No packet can push the stream further ahead than a leap.
    assert buffer.next <= sum(ticks for _, _, ticks in packets) + LEAP * len(packets)


@given(st.permutations(range(1, 5)))
def test_a_shuffle_within_the_wait_loses_nothing(order: list[int]) -> None:
    buffer = ReorderBuffer(wait=3)
    assert said(fed(buffer, 0, *order)) == [0, 1, 2, 3, 4]
    assert (buffer.late, buffer.missing) == (0, 0)
