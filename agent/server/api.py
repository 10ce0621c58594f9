"""The handlers: each reads a request, asks, and writes JSON."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import CallRefused
from agent.profile import ID, Entry
from agent.server.contract import Calls, ServeSettings
from agent.server.guard import Guard
from stages.threads import Workers

LARGEST = 64 * 1024
"""Bytes of a request, at most; an offer has about 3 KiB."""

READ_S, START_S, HANG_UP_S = 5, 30, 5
"""Seconds for a body to arrive, a call to be answered (its models may load), one to end."""

FRESH_S = 2.0
"""Seconds for which the picker's cards are not read again."""


class Offer(BaseModel):
    """What a page sends to begin a call or to go on with one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sdp: str = Field(min_length=1, max_length=LARGEST)
    type: Literal["offer"]
    profile: str | None = Field(default=None, pattern=ID)  # never a path: a caller is no user
    session: str | None = Field(default=None, max_length=200)


@dataclass(slots=True)
class Picker:
    """The cards of the characters, read in a thread and kept for a moment.

    Args:
        entries: reads the profiles; may take long, as stages are imported to see if they can be.
    """

    entries: Callable[[], Sequence[Entry]]
    default: str
    _cards: list[dict[str, Any]] = field(default_factory=list)
    _read_at: float = -FRESH_S
    _lock: anyio.Lock = field(default_factory=anyio.Lock)
    _workers: Workers = field(default_factory=lambda: Workers(1))

    async def cards(self) -> list[dict[str, Any]]:
        """Return one card a character, those that can be called first."""
        async with self._lock:
            if time.monotonic() - self._read_at >= FRESH_S:
                self._cards = await self._workers.run(self._read)
                self._read_at = time.monotonic()
            return self._cards

    def _read(self) -> list[dict[str, Any]]:
        cards = [self._card(entry) for entry in self.entries()]
        return sorted(cards, key=lambda card: (not card["usable"], not card["default"]))

    def _card(self, entry: Entry) -> dict[str, Any]:
        profile, why = entry.profile, entry.why_unusable()
        return {
            "id": entry.id,
            "name": profile.name if profile else entry.id,
            "avatar": profile.avatar if profile else "",
            "language": profile.language if profile else "",
            "greeting": profile.greeting if profile else "",
            "default": entry.id == self.default,
            "usable": not why,
            "why": why,
        }


@dataclass(frozen=True, slots=True)
class Api:
    """The routes under ``/api`` and ``/healthz``."""

    settings: ServeSettings
    calls: Calls
    picker: Picker
    guard: Guard

    def routes(self) -> list[web.RouteDef]:
        """Return the routes and their handlers."""
        return [
            web.get("/healthz", self.health),
            web.get("/api/info", self.info),
            web.get("/api/profiles", self.profiles),
            web.post("/api/calls", self.start),
            web.delete("/api/calls/{call}", self.hang_up),
            web.get(r"/api/{rest:[\s\S]*}", self.nothing),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """Say that the event loop turns."""
        return web.json_response({"status": "ok"})

    async def info(self, request: web.Request) -> web.Response:
        """Say what a page has to know before anything else."""
        known = self.guard.admits(request)
        return web.json_response(
            {
                "version": importlib.metadata.version("firstword"),
                "token_required": self.settings.token is not None,
                "max_calls": self.calls.limit,
                "calls": self.calls.count,
                "ice_servers": list(self.settings.ice_servers) if known else [],
            }
        )

    async def profiles(self, request: web.Request) -> web.Response:
        """List the characters."""
        return web.json_response({"profiles": await self.picker.cards()})

    async def start(self, request: web.Request) -> web.Response:
        """Answer an offer."""
        offer = await _offer(request)
        try:
            with anyio.fail_after(START_S):
                started = await self.calls.start(offer.sdp, offer.profile, offer.session)
        except TimeoutError as error:
            raise CallRefused(503, f"The call was not answered within {START_S} s.", 5) from error
        body = {
            "call": started.call,
            "session": started.session,
            "sdp": started.answer_sdp,
            "type": "answer",
        }
        return web.json_response(body, status=201)

    async def hang_up(self, request: web.Request) -> web.Response:
        """End a call; what takes longer than the deadline goes on ending by itself."""
        with anyio.move_on_after(HANG_UP_S):
            if not await self.calls.hang_up(request.match_info["call"]):
                raise CallRefused(404, "There is no such call; it may be over already.")
        return web.Response(status=204)

    async def nothing(self, request: web.Request) -> web.Response:
        """Say that there is nothing here, in JSON as everything under ``/api``."""
        raise CallRefused(404, "There is nothing to get at this path.")


async def _offer(request: web.Request) -> Offer:
    if request.content_type != "application/json":
        raise CallRefused(415, "An offer comes as JSON, with Content-Type: application/json.")
    try:
        with anyio.fail_after(READ_S):
            body = await request.read()
    except TimeoutError as error:
        raise CallRefused(408, f"The offer did not arrive within {READ_S} s.") from error
    try:
        return Offer.model_validate_json(body)
    except ValidationError as error:
        raise CallRefused(400, _wrong(error)) from None


def _wrong(error: ValidationError) -> str:
    """Say what is wrong with an offer without repeating any of it."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if not first["loc"]:
        return 'The offer is no JSON object like {"sdp": "v=0…", "type": "offer"}.'
    name, names = first["loc"][0], ", ".join(Offer.model_fields)
    match first["type"]:
        case "missing":
            return f"The offer lacks {name!r}."
        case "extra_forbidden":
            return f"The offer has a field that is not known; known are: {names}."
        case "string_pattern_mismatch":
            return "The offer names no profile: an id has lower-case letters, digits, - and _."
        case _:
            return f"In the offer {name!r} is wrong: {first['msg']}."
