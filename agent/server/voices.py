"""Voices made known from the page: only where the server listens to this machine alone.

    GET    /api/speakers          {"speakers": [{"name", "clips", "seconds"}], "why_not"}
    POST   /api/speakers          multipart: "name", and recordings as "clip" → 201
    DELETE /api/speakers/{name}   forgets → 204

Whoever may call may not therefore say who the owner is: over a network all of this is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import anyio
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from agent.errors import CallRefused, NotPossible
from agent.prints import VoicePrint
from agent.server.contract import ServeSettings
from stages.errors import StageError, UserError

LARGEST_CLIP, MOST_CLIPS = 4 << 20, 10
"""Bytes of a recording, and recordings of an enrolment, at most."""
READ_S, ENROL_S = 20, 60
"""Seconds for recordings to arrive, and for a print to be made of them."""


class Enrolments(Protocol):
    """Makes voices known; each raises ``NotPossible`` with a sentence."""

    @property
    def why_not(self) -> str:
        """Say why no voice can be made known, or nothing where one can."""

    async def names(self) -> list[VoicePrint]:
        """Return who is known."""

    async def enrol(self, name: str, clips: list[tuple[str, bytes]]) -> VoicePrint:
        """Make a print of recordings and keep it."""

    async def forget(self, name: str) -> bool:
        """Remove everything of a person; false if nobody of that name is known."""


@dataclass(frozen=True, slots=True)
class VoiceRoutes:
    """The routes under ``/api/speakers``."""

    settings: ServeSettings
    enrolments: Enrolments

    def routes(self) -> list[web.RouteDef]:
        """Return the routes and their handlers."""
        return [
            web.get("/api/speakers", self.list),
            web.post("/api/speakers", self.enrol),
            web.delete("/api/speakers/{name}", self.forget),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """Say who is known, nothing of the prints; and why nobody more can be, before they talk."""
        self._check()
        try:
            known = await self.enrolments.names()
        except NotPossible as error:
            raise CallRefused(409, str(error)) from error
        why_not = self.enrolments.why_not
        return web.json_response({"speakers": [_card(one) for one in known], "why_not": why_not})

    async def enrol(self, request: web.Request) -> web.Response:
        """Make a voice known."""
        self._check()
        try:
            with anyio.fail_after(READ_S):
                name, clips = await _form(request)
        except TimeoutError as error:
            raise CallRefused(408, f"The recordings did not arrive in {READ_S} s.") from error
        try:
            with anyio.fail_after(ENROL_S):
                made = await self.enrolments.enrol(name, clips)
        except TimeoutError as error:
            raise CallRefused(503, f"There was no print after {ENROL_S} s.", 30) from error
        except UserError as error:
            raise CallRefused(422, str(error)) from error
        except StageError as error:
            raise CallRefused(503, str(error), 30) from error
        return web.json_response(_card(made), status=201)

    async def forget(self, request: web.Request) -> web.Response:
        """Remove everything of a person."""
        self._check()
        try:
            if not await self.enrolments.forget(request.match_info["name"]):
                raise CallRefused(404, "Nobody of that name is known.")
        except NotPossible as error:
            raise CallRefused(409, str(error)) from error
        return web.Response(status=204)

    def _check(self) -> None:
        if not self.settings.loopback:
            raise CallRefused(
                403,
                "Voices are made known only on the agent's own machine, with: firstword speaker"
                " enrol NAME FILE",
            )


def _card(one: VoicePrint) -> dict[str, object]:
    return {"name": one.name, "clips": one.clips, "seconds": one.seconds}


async def _form(request: web.Request) -> tuple[str, list[tuple[str, bytes]]]:
    """Read a name and recordings.

    Raises:
        CallRefused: 415 it is no form; 413 it is too large; 400 it lacks something.
    """
    if request.content_type != "multipart/form-data":
        raise CallRefused(415, "An enrolment is a form: a name, and recordings as 'clip'.")
    name, clips = "", list[tuple[str, bytes]]()
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise CallRefused(400, "An enrolment is a plain form.")
            if part.name == "name":
                name = (await _content(part, 1_000)).decode("utf-8", "replace")
            elif part.name == "clip":
                if len(clips) == MOST_CLIPS:
                    raise CallRefused(413, f"An enrolment takes {MOST_CLIPS} recordings at most.")
                clips.append((f"clip {len(clips) + 1}", await _content(part, LARGEST_CLIP)))
    except (ValueError, HttpProcessingError) as error:
        raise CallRefused(400, "The form cannot be read.") from error
    if not name or not clips:
        raise CallRefused(400, "An enrolment wants a name and at least one clip.")
    return name, clips


async def _content(part: BodyPartReader, largest: int) -> bytes:
    """Read a part; one that is too large is read to its end, so that its sender hears why."""
    content, size = bytearray(), 0
    while chunk := await part.read_chunk():
        size += len(chunk)
        if size <= largest:
            content += chunk
    if size > largest:
        raise CallRefused(413, f"A part of the form is larger than {largest} bytes.")
    return bytes(content)
