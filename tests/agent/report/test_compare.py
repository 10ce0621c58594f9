"""Two runs side by side: what is said of them, and how sure."""

from __future__ import annotations

from agent.report import compare
from agent.timeline import Lateness, TurnRecord
from tests.agent.report.turns import stalled, turn

NAMES = ("before", "after")


def run(base: float, count: int = 30) -> list[TurnRecord]:
    """Return turns around ``base`` ms; what varies is the way to the ear."""
    return [turn(n, heard_ms=base + (n * 7919) % 60) for n in range(1, count + 1)]


def test_a_clear_difference_is_told_with_its_interval_and_its_cause() -> None:
    comparison = compare(run(700), run(600), NAMES)
    assert comparison.total is not None
    assert comparison.total.p50 is not None
    assert comparison.total.p50.low < -100 < comparison.total.p50.high < 0
    assert "after is 100 ms faster than before at the median" in comparison.sentences[0]
    assert "what clearly moved: ear -100 ms" in " ".join(comparison.sentences)


def test_the_changes_of_the_stages_add_up_to_the_change_of_the_whole() -> None:
    comparison = compare(run(700), run(600), NAMES)
    assert comparison.total is not None
    assert comparison.total.mean is not None
    moved = sum(row.mean.value for row in comparison.stages if row.mean)
    assert abs(moved - comparison.total.mean.value) < 0.5


def test_the_same_turns_show_no_difference() -> None:
    assert "No difference can be told" in compare(run(600), run(600), NAMES).sentences[0]


def test_the_same_turns_always_give_the_same_comparison() -> None:
    assert compare(run(600), run(610), NAMES) == compare(run(600), run(610), NAMES)


def test_too_few_turns_are_shown_but_nothing_is_concluded() -> None:
    comparison = compare(run(700, count=3), run(600), NAMES)
    assert "too few turns" in comparison.sentences[0]
    assert comparison.total is not None
    assert comparison.total.a is not None
    assert comparison.total.p50 is None


def test_times_of_different_kinds_are_not_compared() -> None:
    unheard = [turn(n, heard_ms=None) for n in range(1, 10)]
    comparison = compare(run(600), unheard, NAMES)
    assert comparison.total is None
    assert "different kinds are not compared" in comparison.sentences[0]


def test_a_side_without_turns_is_named() -> None:
    assert compare(run(600), [], NAMES).sentences[0].startswith("after has no turn")


def test_being_faster_by_cutting_callers_off_does_not_go_untold() -> None:
    cut = [turn(n, heard_ms=500.0, marks={"endpoint": -80.0}) for n in range(1, 4)]
    told = compare(run(600), [*run(500, 20)[3:], *cut], NAMES).sentences
    assert "The caller was cut off in 0 of 30 turns by before and in 3 of 20 by after." in told


def test_how_many_heard_a_reply_cut_in_is_told_too() -> None:
    cut = [turn(n, interrupted=True, interrupted_after_ms=700.0) for n in range(1, 3)]
    told = compare(run(600), [*run(500, 20)[2:], *cut], NAMES).sentences
    assert (
        "The caller was cut off in 0 of 30 turns by before and in 2 of 20 by after;"
        " they heard it in 0 and 2." in told
    )


def test_a_run_on_a_loop_that_stalled_says_so() -> None:
    on_time = Lateness(worst_ms=2.0, stalls=0, stalled_ms=0.0)
    smooth = [turn(n, event_loop=on_time) for n in range(1, 9)]
    told = compare(smooth, [stalled(1), *smooth[1:]], NAMES).sentences
    assert (
        "The event loop stalled in 0 of 8 turns (0 ms) of before,"
        " in 1 of 8 turns (120 ms) of after." in told
    )
    unwatched = compare(run(600), [stalled(1), *smooth[1:]], NAMES).sentences
    assert not any("event loop" in sentence for sentence in unwatched)
