"""One frame every 20 ms; after a stall the grid slips, and never bursts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.webrtc.grid import FRAME_SECONDS, LEAN, SLIP_AFTER, Grid


def test_frames_are_due_on_one_grid_however_late_they_leave() -> None:
    grid = Grid(100.0)
    for number in range(50):
        assert grid.due() == pytest.approx(100.0 + number * 0.020)
        assert grid.take(grid.due() + 0.007) == number
    assert grid.slipped == 0


def test_a_small_delay_is_caught_up() -> None:
    grid = Grid(0.0)
    assert grid.take(0.050) == 0
    assert grid.take(0.050) == 1
    assert grid.slipped == 0


def test_a_stall_leaves_frames_out_and_numbers_go_on_as_time_does() -> None:
    grid = Grid(0.0)
    assert grid.take(0.0) == 0
    assert grid.take(0.150) == 7
    assert grid.slipped == 6
    assert grid.due() == pytest.approx(0.160)


@given(st.lists(st.floats(0, 1.0), min_size=1, max_size=60))
def test_no_stall_makes_a_burst(stalls: list[float]) -> None:
    grid, now = Grid(0.0), 0.0
    for stall in stalls:
        now = max(now + stall, grid.due())
        number = grid.take(now)
        assert now - grid.due(number) <= SLIP_AFTER + 1e-6
        assert grid.due() > now - SLIP_AFTER - FRAME_SECONDS


def test_the_number_says_where_in_time_the_frame_belongs() -> None:
    grid = Grid(0.0)
    numbers = [grid.take(now) for now in (0.0, 0.02, 0.5, 0.52, 0.54)]
    assert numbers == [0, 1, 25, 26, 27]


@given(st.floats(0, 1000), st.floats(0, 1000))
def test_a_grid_leans_towards_a_moment_the_short_way_and_slowly(
    start: float, moment: float
) -> None:
    grid = Grid(start)
    dues = [start]
    for _ in range(int(FRAME_SECONDS / 2 / LEAN) + 2):
        grid.take(grid.due())
        grid.lean(moment)
        dues.append(grid.due())

    apart = (grid.due() - moment + FRAME_SECONDS / 2) % FRAME_SECONDS - FRAME_SECONDS / 2
    assert apart == pytest.approx(0.0, abs=1e-6)
    steps = [after - before - FRAME_SECONDS for before, after in pairwise(dues)]
    assert max(map(abs, steps)) <= LEAN + 1e-9
    assert abs(sum(steps)) <= FRAME_SECONDS / 2 + 1e-6
