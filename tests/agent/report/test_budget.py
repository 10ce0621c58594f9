"""Budgets: what makes a user's CI fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import NotPossible
from agent.report import Budget, summarise
from tests.agent.report.turns import stalled, turn


def budget(tmp_path: Path, text: str) -> Budget:
    file = tmp_path / "budget.yaml"
    file.write_text(text)
    return Budget.load(file)


def test_what_is_within_the_budget_is_not_told(tmp_path: Path) -> None:
    limits = budget(tmp_path, "heard: {p50: 650}\nstages: {endpoint: {p95: 300}}\nfailed: 0\n")
    assert limits.broken(summarise([turn(1), turn(2)])) == []


def test_everything_over_the_budget_is_told(tmp_path: Path) -> None:
    limits = budget(tmp_path, "heard: {p50: 450, p95: 800}\nstages: {tts: {p50: 20}}\nfailed: 0\n")
    told = limits.broken(summarise([turn(1), turn(2, error="llm: no")]))
    assert told == [
        "heard p50 is 600 ms, over the budget of 450.",
        "tts p50 is 60 ms, over the budget of 20.",
        "1 turn failed, over the budget of 0.",
    ]


def test_what_was_not_measured_does_not_pass(tmp_path: Path) -> None:
    limits = budget(tmp_path, "heard: {p50: 450}\nbarge_in: {p95: 200}\n")
    told = limits.broken(summarise([turn(1, heard_ms=None)]))
    assert told == [
        "heard p50 was not measured, and its budget is 450 ms.",
        "barge_in p95 was not measured, and its budget is 200 ms.",
    ]


def test_no_turns_at_all_pass_no_budget(tmp_path: Path) -> None:
    limits = budget(tmp_path, "heard: {p50: 450}\nearly_endpoints: 0.05\nfailed: 0\n")
    assert limits.broken(summarise([])) == [
        "heard p50 was not measured, and its budget is 450 ms.",
        "early_endpoints was not measured: nobody spoke.",
        "failed was not measured: there are no turns.",
    ]


def test_a_budget_that_is_not_there_is_said_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(NotPossible) as caught:
        Budget.load(tmp_path / "gone.yaml")
    assert str(caught.value).endswith("gone.yaml cannot be read: No such file or directory.")


@pytest.mark.parametrize(
    "text", ["", "# heard: {p50: 450}\n", "heard: {}\n", "heard:\nstages: {tts: {}}\n"]
)
def test_a_budget_without_a_limit_is_refused_for_it_would_pass_everything(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(NotPossible) as caught:
        budget(tmp_path, text)
    where = tmp_path / "budget.yaml"
    assert str(caught.value) == (
        f"The budget {where} sets no limit; it wants lines such as heard: {{p50: 450}}."
    )


def test_a_count_of_none_at_all_is_a_limit(tmp_path: Path) -> None:
    assert budget(tmp_path, "failed: 0\n").broken(summarise([turn(1)])) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"heard: {p50: 450\n\nfailed: 0\n", "line 3: expected ',' or '}', but got ':'"),
        (b"heard: \xff\n", "it is not UTF-8 text"),
        (b"heard: \x00\n", "a control character stands in it"),
        (b"{a: " * 5_000, "it is nested too deeply"),
    ],
)
def test_why_a_budget_cannot_be_read_is_one_sentence(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "budget.yaml"
    file.write_bytes(content)
    with pytest.raises(NotPossible) as caught:
        Budget.load(file)
    assert str(caught.value) == f"The budget {file} cannot be read: {reason}."


def test_cutting_callers_off_has_a_budget_too(tmp_path: Path) -> None:
    limits = budget(tmp_path, "early_endpoints: 0.05\n")
    turns = [turn(1, marks={"endpoint": -5.0}), *(turn(n) for n in range(2, 11))]
    assert limits.broken(summarise(turns)) == [
        "early_endpoints is 10.0%, over the budget of 5.0%."
    ]


def test_a_reply_that_the_caller_heard_cut_in_is_over_that_budget(tmp_path: Path) -> None:
    limits = budget(tmp_path, "early_endpoints: 0.05\n")
    cut = turn(1, interrupted=True, interrupted_after_ms=640.0)
    assert limits.broken(summarise([cut, turn(2)])) == [
        "early_endpoints is 50.0%, over the budget of 5.0%."
    ]


def test_an_event_loop_that_is_late_is_over_its_budget(tmp_path: Path) -> None:
    limits = budget(tmp_path, "event_loop: {p50: 80, p99: 50}\n")
    assert limits.broken(summarise([stalled(1), stalled(2)])) == [
        "event_loop p99 is 80 ms, over the budget of 50."
    ]
    assert limits.broken(summarise([turn(1)])) == [  # from before loops were watched
        "event_loop p50 was not measured, and its budget is 80 ms.",
        "event_loop p99 was not measured, and its budget is 50 ms.",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("herd: {p50: 1}", "there is no herd; there are: heard, stages, barge_in, event_loop"),
        ("heard: {p55: 1}", "there is no heard.p55; there are: mean, p50, p90, p95, p99"),
        ("heard: 450", "heard wants limits such as {p50: 450}."),
        ("stages: {tts: 20}", "stages.tts wants limits such as {p50: 450}."),
        ("stages: [tts]", "stages wants limits such as {p50: 450}."),
        ("- heard", "it wants lines such as heard: {p50: 450}."),
        ("heard: {p50: fast}", "heard.p50: Input should be a valid number"),
        ("event_loop: {p95: -1}", "event_loop.p95: Input should be greater than 0"),
        ("event_loop: {worst: 50}", "there is no event_loop.worst; there are: mean, p50"),
        ("stages: {brain: {p50: 1}}", "names the stage 'brain'; there are: endpoint, asr"),
        ("heard: [", "cannot be read"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(NotPossible) as caught:
        budget(tmp_path, text)
    assert sentence in str(caught.value)
