"""What the tests of the wire may ask for."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest


@pytest.fixture
def unused_udp_port() -> Callable[[], int]:
    """Return a function that finds a free UDP port of 127.0.0.1."""

    def find() -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find
