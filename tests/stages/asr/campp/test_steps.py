"""Calls in one batch hear what each hears alone, whatever slot they sit in."""

from __future__ import annotations

import random

import numpy as np
import pytest

from stages.asr.campp.features import Fbank
from stages.asr.campp.graph import Graph
from stages.asr.campp.states import States
from stages.asr.campp.steps import BrokenNumbers, LogProbs, Row, Steps
from tests.stages.asr.campp.conftest import noise
from tests.stages.asr.campp.listening import alone, stepped, windows_of


def test_calls_that_come_and_go_hear_what_each_hears_alone(tiny: Graph, fbank: Fbank) -> None:
    dice = random.Random(4)
    steps = Steps(tiny, States(tiny.geometry, 7), 7)
    calls = [windows_of(tiny, fbank, noise(1 + index % 4, index)) for index in range(20)]
    free, waiting = list(range(7)), list(range(20))
    seated: dict[int, tuple[int, int]] = {}
    heard: dict[int, list[LogProbs]] = {index: [] for index in range(20)}
    while waiting or seated:
        while free and waiting and dice.random() < 0.6:
            slot = free.pop()
            steps.states.clear(slot)
            seated[slot] = (waiting.pop(0), 0)
        chosen = [slot for slot in seated if dice.random() < 0.7]
        if not chosen:
            continue
        rows = [Row(slot, calls[seated[slot][0]][seated[slot][1]]) for slot in chosen]
        for slot, log_probs in zip(chosen, stepped(steps, rows), strict=True):
            call, at = seated[slot]
            heard[call].append(log_probs)
            seated[slot] = (call, at + 1)
            if at + 1 == len(calls[call]):
                del seated[slot]
                free.append(slot)
    for call, windows in enumerate(calls):
        expected = alone(tiny, windows)
        np.testing.assert_allclose(np.concatenate(heard[call]), expected, atol=1e-4)
        assert (np.concatenate(heard[call]).argmax(1) == expected.argmax(1)).all()


def test_the_tiny_model_says_many_different_things(tiny: Graph, fbank: Fbank) -> None:
    said = alone(tiny, windows_of(tiny, fbank, noise(6))).argmax(1)
    assert len(set(said.tolist())) > 8  # or the tests above would prove nothing


def test_a_slot_is_used_again_as_if_it_were_new(tiny: Graph, fbank: Fbank) -> None:
    steps = Steps(tiny, States(tiny.geometry, 1), 1)
    first, second = (windows_of(tiny, fbank, noise(2, seed)) for seed in (1, 2))
    for window in first:
        stepped(steps, [Row(0, window)])
    steps.states.clear(0)
    heard = [stepped(steps, [Row(0, window)])[0] for window in second]
    np.testing.assert_array_equal(np.concatenate(heard), alone(tiny, second))


def test_another_utterance_in_the_same_slot_hears_nothing_of_the_first(
    tiny: Graph, fbank: Fbank
) -> None:
    steps = Steps(tiny, States(tiny.geometry, 1), 1)
    first, second = (windows_of(tiny, fbank, noise(2, seed)) for seed in (1, 2))
    for window in first:
        stepped(steps, [Row(0, window)])
    steps.states.restart(0)
    heard = [stepped(steps, [Row(0, window)])[0] for window in second]
    np.testing.assert_allclose(np.concatenate(heard), alone(tiny, second), atol=1e-6)


def test_a_look_leaves_the_slot_as_it_was(tiny: Graph, fbank: Fbank) -> None:
    steps = Steps(tiny, States(tiny.geometry, 2), 2)
    windows = windows_of(tiny, fbank, noise(3, 3))
    heard = []
    for window in windows:
        stepped(steps, [Row(0, windows[0], keep=False)])
        heard += stepped(steps, [Row(0, window)])
    np.testing.assert_array_equal(np.concatenate(heard), alone(tiny, windows))


def test_one_call_without_numbers_spoils_no_other(tiny: Graph, fbank: Fbank) -> None:
    steps = Steps(tiny, States(tiny.geometry, 3), 3)
    windows = windows_of(tiny, fbank, noise(2, 5))
    broken = np.full_like(windows[0], np.nan)
    heard = []
    for window in windows:
        made = steps.run([Row(1, broken), Row(2, window)])
        assert isinstance(made[0], BrokenNumbers)
        assert isinstance(made[1], np.ndarray)
        heard.append(made[1])
    np.testing.assert_allclose(np.concatenate(heard), alone(tiny, windows), atol=1e-5)


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (3, 3), (5, 6), (7, 8), (9, 10)])
def test_batches_come_in_few_sizes(tiny: Graph, rows: int, size: int) -> None:
    assert Steps(tiny, States(tiny.geometry, 1), 10).size_for(rows) == size


def test_a_slot_holds_what_the_geometry_promises(tiny: Graph) -> None:
    assert States(tiny.geometry, 3).bytes_a_slot == tiny.geometry.state_bytes
