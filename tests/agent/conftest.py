"""What the tests of turn-taking may ask for."""

from __future__ import annotations

import pytest

from tests.agent.taking_turns import QUICK, Floor


@pytest.fixture(params=[20, 32], ids=["20 ms frames", "32 ms frames"])
def floor(request: pytest.FixtureRequest) -> Floor:
    return Floor(QUICK, request.param)
