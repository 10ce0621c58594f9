"""What is remembered of known callers: only where the server listens to this machine alone.

    GET    /api/memories          {"memories": [{"name", "profile", "kept", "summed", …}]}
    GET    /api/memories/{name}   all that is kept of a person, to look at or to take along
    DELETE /api/memories/{name}   forgets what every character remembers of a person → 204

Over a network all of this is refused: whoever may call may not therefore read what others said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from agent.errors import CallRefused, NotPossible
from agent.memory.record import Memory
from agent.memory.shown import card, exported
from agent.server.contract import ServeSettings


class Remembered(Protocol):
    """What is remembered; each raises ``NotPossible`` with a sentence."""

    async def all(self, name: str = "") -> list[Memory]:
        """Return what is remembered, of one person with a name."""

    async def forget(self, name: str) -> int:
        """Remove what is remembered of a person; return by how many characters."""


@dataclass(frozen=True, slots=True)
class MemoryRoutes:
    """The routes under ``/api/memories``."""

    settings: ServeSettings
    memories: Remembered

    def routes(self) -> list[web.RouteDef]:
        """Return the routes and their handlers."""
        return [
            web.get("/api/memories", self.list),
            web.get("/api/memories/{name}", self.show),
            web.delete("/api/memories/{name}", self.forget),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Say of whom something is remembered, and how much."""
        return web.json_response({"memories": [card(one) for one in await self._found("")]})

    async def show(self, request: web.Request) -> web.Response:
        """Give all that is kept of a person."""
        name = request.match_info["name"]
        found = await self._found(name)
        if not found:
            raise CallRefused(404, "Nothing is remembered of anybody of that name.")
        return web.json_response(exported(name, found))

    async def forget(self, request: web.Request) -> web.Response:
        """Remove what every character remembers of a person."""
        self._check()
        try:
            if not await self.memories.forget(request.match_info["name"]):
                raise CallRefused(404, "Nothing is remembered of anybody of that name.")
        except NotPossible as error:
            raise CallRefused(409, str(error)) from error
        return web.Response(status=204)

    async def _found(self, name: str) -> Sequence[Memory]:
        self._check()
        try:
            return await self.memories.all(name)
        except NotPossible as error:
            raise CallRefused(409, str(error)) from error

    def _check(self) -> None:
        if not self.settings.loopback:
            raise CallRefused(
                403,
                "What is remembered is shown only on the agent's own machine, with: firstword"
                " memory show NAME",
            )
