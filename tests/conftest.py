"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from stages.models import EMBEDDED, ModelStore

ROOT = Path(__file__).resolve().parents[1]
STRICT = os.environ.get("FIRSTWORD_TESTS") == "all"
"""Set by .ci/run: what would be a skip on a user's machine is a failure there."""


def pytest_sessionstart() -> None:
    """Where nothing may be skipped, bring the models first: no test has the time for it."""
    if STRICT:
        anyio.run(ModelStore().pull)


def missing(reason: str) -> None:
    """Skip the test, or fail it where everything should be installed."""
    if STRICT:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def speech() -> Path:
    """Return the folder of human speech that lies beside the project."""
    folder = ROOT.parent / "shared" / "speech"
    if not folder.is_dir():
        missing("the human speech (../shared/speech) is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def store() -> ModelStore:
    """Return the model store with the embedded models, all verified."""
    models = ModelStore()
    absent = [name for name in EMBEDDED if models.state(name) != "ready"]
    if absent:
        missing(f"get the weights with: firstword models pull ({', '.join(absent)} missing)")
    return models
