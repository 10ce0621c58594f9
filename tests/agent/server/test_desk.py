"""Calls followed and acted on over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from tests.servers.edge_http import TOKEN, ScriptedCalls, bearer, served

CALL = {
    "call": "c1",
    "profile": "bare",
    "name": "Bare",
    "started_at": "2026-01-01T00:00:00",
    "muted": False,
}


async def test_calls_are_listed_and_done_to_what_is_asked() -> None:
    calls = ScriptedCalls()
    async with served(calls) as server:
        assert (await server.ask("GET", "/api/calls"))[:2] == (200, {"calls": [CALL]})
        assert (await server.ask("GET", "/api/calls/c1"))[:2] == (200, CALL)
        path = "/api/calls/c1"
        assert (await server.ask("POST", f"{path}/say", json={"text": "Dinner!"}))[0] == 202
        assert (await server.ask("POST", f"{path}/switch", json={"profile": "fox"}))[0] == 200
        assert (await server.ask("POST", f"{path}/mute", json={"muted": True}))[0] == 200
        assert (await server.ask("DELETE", path))[0] == 204
    assert calls.done == [
        ("say", "c1", "Dinner!"),
        ("switch", "c1", "fox"),
        ("mute", "c1", "True"),
        ("hangup", "c1"),
    ]


@pytest.mark.parametrize(
    ("path", "more", "status", "says"),
    [
        ("c9/say", {"json": {"text": "a"}}, 404, "There is no such call"),
        ("c1/say", {"json": {}}, 400, "'text' is wrong"),
        ("c1/say", {"json": {"text": "a" * 2001}}, 400, "'text' is wrong"),
        ("c1/say", {"json": {"text": "a", "secret": "b"}}, 400, "it is wrong"),
        ("c1/mute", {"json": {"muted": "perhaps"}}, 400, "'muted' is wrong"),
        ("c1/switch", {"json": {"profile": "../../etc/passwd"}}, 400, "'profile' is wrong"),
        ("c1/say", {"data": "hello"}, 415, "wants JSON"),
        ("c1/say", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, "JSON"),
        ("c1/dance", {"json": {}}, 405, "POST here gives"),
    ],
)
async def test_what_cannot_be_done_is_said(
    path: str, more: dict[str, Any], status: int, says: str
) -> None:
    calls = ScriptedCalls()
    async with served(calls) as server:
        got, body, _ = await server.ask("POST", f"/api/calls/{path}", **more)
    assert got == status
    assert says in body["error"]
    assert "passwd" not in body["error"]
    assert not calls.done


async def test_operators_need_the_token_too() -> None:
    async with served(ScriptedCalls(), token=SecretStr(TOKEN)) as server:
        for method, path in (("GET", "/api/calls"), ("POST", "/api/calls/c1/say")):
            assert (await server.ask(method, path))[0] == 401
        assert (await server.ask("GET", "/api/calls", headers=bearer(TOKEN)))[0] == 200
        assert (await server.ask("GET", "/api/openapi.json", headers=bearer(TOKEN)))[0] == 200
