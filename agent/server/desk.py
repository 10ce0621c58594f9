"""Calls under way, and what may be done to them: for operators and their programs.

    GET  /api/calls                 {"calls": [{"call", "profile", "name", "started_at", "muted"}]}
    GET  /api/calls/{call}          one of them
    POST /api/calls/{call}/say      {"text"} → 202: said once nobody has the word
    POST /api/calls/{call}/switch   {"profile"} → 200: from the next clause on
    POST /api/calls/{call}/mute     {"muted"} → 200: the call hears silence, or the caller again
    GET  /api/openapi.json          all of the API, described

Nothing here tells what anybody said.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TypeVar

import anyio
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.desk import CallInfo, Desk
from agent.errors import CallRefused
from agent.messages import LONGEST_TEXT
from agent.profile import ID
from agent.server.openapi import openapi

READ_S, SWITCH_S = 5, 30
"""Seconds for a body to arrive, and for a character's stages to be opened."""


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SayOrder(_Order):
    """A text to say."""

    text: str = Field(min_length=1, max_length=LONGEST_TEXT)


class SwitchOrder(_Order):
    """A character to become, by its id."""

    profile: str = Field(pattern=ID)


class MuteOrder(_Order):
    """Whether the call hears silence instead of the caller."""

    muted: bool


B = TypeVar("B", bound=_Order)


@dataclass(frozen=True, slots=True)
class DeskRoutes:
    """The routes of operators."""

    desk: Desk

    def routes(self) -> list[web.RouteDef]:
        """Return the routes and their handlers."""
        return [
            web.get("/api/openapi.json", self.described),
            web.get("/api/calls", self.list),
            web.get("/api/calls/{call}", self.show),
            web.post("/api/calls/{call}/say", self.say),
            web.post("/api/calls/{call}/switch", self.switch),
            web.post("/api/calls/{call}/mute", self.mute),
        ]

    async def described(self, request: web.Request) -> web.Response:
        """Describe the API."""
        orders = dict[str, type[BaseModel]](say=SayOrder, switch=SwitchOrder, mute=MuteOrder)
        return web.json_response(openapi(orders))

    async def list(self, request: web.Request) -> web.Response:
        """List the calls under way."""
        return web.json_response({"calls": [asdict(call) for call in self.desk.calls()]})

    async def show(self, request: web.Request) -> web.Response:
        """Show one call."""
        return self._shown(request)

    async def say(self, request: web.Request) -> web.Response:
        """Have the character say a text."""
        order = await _order(request, SayOrder)
        self.desk.say(request.match_info["call"], order.text)
        return self._shown(request, 202)

    async def switch(self, request: web.Request) -> web.Response:
        """Go on as another character."""
        order = await _order(request, SwitchOrder)
        try:
            with anyio.fail_after(SWITCH_S):
                await self.desk.switch(request.match_info["call"], order.profile)
        except TimeoutError as error:
            raise CallRefused(503, f"The character was not ready in {SWITCH_S} s.", 30) from error
        return self._shown(request)

    async def mute(self, request: web.Request) -> web.Response:
        """Let the call hear silence, or the caller again."""
        order = await _order(request, MuteOrder)
        self.desk.mute(request.match_info["call"], order.muted)
        return self._shown(request)

    def _shown(self, request: web.Request, status: int = 200) -> web.Response:
        return web.json_response(asdict(self._call(request.match_info["call"])), status=status)

    def _call(self, name: str) -> CallInfo:
        for call in self.desk.calls():
            if call.call == name:
                return call
        raise CallRefused(404, "There is no such call; it may be over already.")


async def _order(request: web.Request, kind: type[B]) -> B:
    """Read what is asked.

    Raises:
        CallRefused: 415 it is no JSON; 408 it did not arrive; 400 it is not as it should be.
    """
    if request.content_type != "application/json":
        raise CallRefused(415, "This wants JSON, with Content-Type: application/json.")
    try:
        with anyio.fail_after(READ_S):
            body = await request.read()
    except TimeoutError as error:
        raise CallRefused(408, f"The request did not arrive within {READ_S} s.") from error
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        names = ", ".join(kind.model_fields)
        # where it is wrong is said only of fields of ours: nothing that was sent is repeated
        known = first["loc"] and first["loc"][0] in kind.model_fields
        where = repr(first["loc"][0]) if known else "it"
        sentence = f"This wants a JSON object with {names}; {where} is wrong: {first['msg']}."
        raise CallRefused(400, sentence) from None
