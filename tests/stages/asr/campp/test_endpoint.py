"""Kaldi's three rules, over trailing blanks."""

from __future__ import annotations

import pytest

from stages.asr.campp.endpoint import Endpoint, rules

SECOND = 16_000


@pytest.mark.parametrize(
    ("spoken", "trailing_s", "length_s", "rule"),
    [
        (False, 2.3, 2.3, None),
        (False, 2.4, 2.4, 1),
        (True, 1.1, 5.0, None),
        (True, 1.2, 5.0, 2),
        (False, 1.2, 5.0, None),
        (True, 0.0, 20.0, 3),
        (False, 0.0, 19.9, None),
    ],
)
def test_kaldis_rules(spoken: bool, trailing_s: float, length_s: float, rule: int | None) -> None:
    endpoint = Endpoint(rules())
    reached = endpoint.reached(spoken, round(trailing_s * SECOND), round(length_s * SECOND))
    assert reached == rule


def test_rules_can_be_set() -> None:
    endpoint = Endpoint(rules(pause_s=0.4))
    assert endpoint.reached(True, round(0.4 * SECOND), SECOND) == 2
