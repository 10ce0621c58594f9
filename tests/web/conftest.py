"""What the tests of the page may ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.web.browsers import chromium


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Run one Chromium for all tests of a module; its microphone beeps."""
    async with chromium() as running:
        yield running
