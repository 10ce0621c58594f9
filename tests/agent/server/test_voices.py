"""Voices made known over HTTP: recordings in, a name out, and only on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import FormData
from pydantic import SecretStr

from agent.engines import open_engines
from agent.enrolment import Enrolment
from agent.profile import Profile, load
from agent.speakers import SpeakerBook
from stages.models import ModelStore
from tests.agent.voices import wav
from tests.servers.edge_http import TOKEN, ScriptedCalls, Served, bearer, served


def form(name: str, *clips: bytes) -> FormData:
    data = FormData()
    data.add_field("name", name)
    for number, clip in enumerate(clips):
        data.add_field("clip", clip, filename=f"{number}.wav", content_type="audio/wav")
    return data


@asynccontextmanager
async def enrolment(folder: Path, knows: bool = True) -> AsyncIterator[Enrolment]:
    """Open what makes voices known, for a character that tells voices apart or not."""
    said = load("bare").model_dump(exclude_unset=True)
    more = {"speakers": {"engine": "spectrum"}} if knows else {}
    profile = Profile.model_validate(said | more)
    async with open_engines(ModelStore(folder)) as engines:
        yield Enrolment(engines, profile, SpeakerBook(folder / "state"))


@asynccontextmanager
async def enrolling(folder: Path, knows: bool = True, **changes: Any) -> AsyncIterator[Served]:
    async with (
        enrolment(folder, knows) as enrolments,
        served(ScriptedCalls(), enrolments=enrolments, **changes) as server,
    ):
        yield server


async def test_recordings_make_a_voice_known_until_it_is_forgotten(tmp_path: Path) -> None:
    async with enrolling(tmp_path) as server:
        made, card, _ = await server.ask(
            "POST", "/api/speakers", data=form("晓明", wav(200), wav(205))
        )
        assert (made, card) == (201, {"name": "晓明", "clips": 2, "seconds": 10.0})
        _, listed, _ = await server.ask("GET", "/api/speakers")
        assert listed == {"speakers": [card], "why_not": ""}
        assert (await server.ask("DELETE", "/api/speakers/晓明"))[0] == 204
        status, body, _ = await server.ask("DELETE", "/api/speakers/晓明")
        assert (status, body) == (404, {"error": "Nobody of that name is known."})


async def test_what_is_not_good_enough_is_a_sentence_and_nothing_is_kept(tmp_path: Path) -> None:
    async with enrolling(tmp_path) as server:
        for data, status, words in (
            (form("Anna", wav(200, 1.0)), 422, "clip 1 has 1.0 s of speech; at least 1.5 s"),
            (form("Anna", wav(200), wav(900)), 422, "sounds like another voice"),
            (form("Anna", b"no sound"), 422, "clip 1 is no recording that can be read"),
            (form("a/b", wav(200)), 422, "cannot be a name"),
            (form("", wav(200)), 400, "wants a name and at least one clip"),
            (form("x" * 1001, wav(200)), 413, "larger than 1000 bytes"),
        ):
            got, body, _ = await server.ask("POST", "/api/speakers", data=data)
            assert (got, words in body["error"]) == (status, True), body
        status, _, _ = await server.ask("POST", "/api/speakers", json={"name": "Anna"})
        assert status == 415
        assert (await server.ask("GET", "/api/speakers"))[1]["speakers"] == []


async def test_a_form_that_is_broken_off_is_a_sentence(tmp_path: Path) -> None:
    broken = b"--edge\r\n182--edge--\r\n\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    async with enrolling(tmp_path) as server:
        status, body, _ = await server.ask(
            "POST", "/api/speakers", data=broken, headers=headers
        )
    assert (status, body) == (400, {"error": "The form cannot be read."})


async def test_over_a_network_nobody_says_who_the_owner_is(tmp_path: Path) -> None:
    open_to_all: dict[str, Any] = {"host": "0.0.0.0", "token": SecretStr(TOKEN)}
    async with enrolling(tmp_path, **open_to_all) as server:
        server.url = server.url.replace(server.url.split("//")[1].split(":")[0], "127.0.0.1")
        status, body, _ = await server.ask(
            "POST", "/api/speakers", data=form("Anna", wav(200)), headers=bearer(TOKEN)
        )
    assert status == 403
    assert "only on the agent's own machine, with: firstword speaker enrol" in body["error"]


async def test_a_character_that_tells_no_voices_apart_says_so(tmp_path: Path) -> None:
    async with enrolling(tmp_path, knows=False) as server:
        status, body, _ = await server.ask("POST", "/api/speakers", data=form("Anna", wav(200)))
        _, listed, _ = await server.ask("GET", "/api/speakers")
    assert status == 422
    assert "its profile has no section 'speakers'" in body["error"]
    assert listed["why_not"] == body["error"]  # before anybody talks for nothing
