"""aiomqtt's client, without its race at the end of a connection.

It asks the loop to watch a socket by number, a moment later; a broker that dies in that moment
leaves a number that is nobody's, or somebody else's. Here the socket is looked at again first.
The names that begin with ``_`` are aiomqtt's own: its minor version is held in pyproject.toml.
"""

from __future__ import annotations

from typing import Any

import aiomqtt


class SteadyClient(aiomqtt.Client):
    """A client that never watches a socket that it has closed."""

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        self._later(client, sock, super()._on_socket_open)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        self._later(client, sock, super()._on_socket_register_write)

    def _later(self, client: Any, sock: Any, watch: Any) -> None:
        """Do it in the loop, if the socket is still there by then; called from any thread."""

        def now() -> None:
            if sock.fileno() < 0:
                return
            steady, self._loop = self._loop, _AtOnce(self._loop)  # type: ignore[assignment]
            try:
                watch(client, None, sock)
            finally:
                self._loop = steady

        self._loop.call_soon_threadsafe(now)


class _AtOnce:
    """A loop whose "soon" is now: we are in it already."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop

    def call_soon_threadsafe(self, function: Any, *arguments: Any) -> None:
        function(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)
