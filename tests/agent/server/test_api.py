"""The page, the picker and offers, through real HTTP; the calls behind are scripted."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from agent.errors import CallRefused
from tests.servers.edge_http import OFFER, SDP, TOKEN, ScriptedCalls, bearer, served

# --- the page -------------------------------------------------------------------------------


async def test_the_page_and_its_modules_come_with_headers_that_keep_it_to_itself() -> None:
    async with served(ScriptedCalls()) as server:
        status, body, response = await server.ask("GET", "/")
        assert status == 200
        assert "<title>FirstWord</title>" in body
        assert "default-src 'self'" in response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "aiohttp" not in response.headers["Server"]
        _, _, module = await server.ask("GET", "/app.js")
        assert module.content_type == "text/javascript"
        assert module.headers["Cache-Control"] == "no-cache"
        etag = {"If-None-Match": module.headers["ETag"]}
        status, _, _ = await server.ask("GET", "/app.js", headers=etag)
        assert status == 304


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/..%2fpyproject.toml",
        "/%2e%2e%2f%2e%2e%2fetc/passwd",
        "//etc/passwd",
        "/%00",
        "/..\\pyproject.toml",
    ],
)
async def test_no_path_leads_out_of_the_pages_folder(path: str) -> None:
    async with served(ScriptedCalls()) as server:
        host, port = server.url.removeprefix("http://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
            await stream.send(request.encode())
            reply = b"".join([piece async for piece in stream])
        assert reply.split()[1] in (b"400", b"403", b"404")
        assert b"firstword\"" not in reply
        assert b"root:" not in reply


async def test_health_and_info_are_open_to_all() -> None:
    async with served(ScriptedCalls(), token=SecretStr(TOKEN)) as server:
        assert (await server.ask("GET", "/healthz"))[:2] == (200, {"status": "ok"})
        status, body, response = await server.ask("GET", "/api/info")
        assert status == 200
        assert body.pop("version")
        assert body == {"token_required": True, "max_calls": 2, "calls": 1, "ice_servers": []}
        assert response.headers["Cache-Control"] == "no-store"


async def test_only_who_has_the_token_learns_the_credentials_of_turn() -> None:
    turn = {"urls": "turn:t:3478", "username": "me", "credential": "secret"}
    async with served(
        ScriptedCalls(), token=SecretStr(TOKEN), ice_servers=(turn,)
    ) as server:
        _, body, _ = await server.ask("GET", "/api/info", headers=bearer(TOKEN))
        assert body["ice_servers"] == [turn]
        assert (await server.ask("GET", "/api/info"))[1]["ice_servers"] == []


async def test_the_picker_has_a_card_a_profile_and_says_which_cannot_be_called() -> None:
    async with served(ScriptedCalls(), default_profile="bare") as server:
        status, body, _ = await server.ask("GET", "/api/profiles")
    assert status == 200
    cards = {card["id"]: card for card in body["profiles"]}
    assert cards["bare"] == {
        "id": "bare",
        "name": "Bare",
        "avatar": "🤖",
        "language": "en",
        "greeting": "Hello, this is a test call.",
        "default": True,
        "usable": True,
        "why": "",
    }
    assert cards["xiaoxiao"]["usable"] is False
    assert cards["xiaoxiao"]["why"]
    assert str(Path.cwd()) not in json.dumps(body), "no path of the server is told"


# --- calls ----------------------------------------------------------------------------------


async def test_an_offer_is_answered() -> None:
    calls = ScriptedCalls()
    async with served(calls) as server:
        status, body, _ = await server.offer(json=OFFER | {"profile": "bare", "session": "s0"})
        assert status == 201
        assert body == {"call": "c1", "session": "s1", "sdp": "v=0 answer", "type": "answer"}
        assert calls.asked == [(SDP, "bare", "s0")]
        assert (await server.ask("DELETE", "/api/calls/c1"))[0] == 204
        status, body, _ = await server.ask("DELETE", "/api/calls/c2")
        assert (status, body) == (404, {"error": "There is no such call; it may be over already."})


@pytest.mark.parametrize(
    ("status", "sentence", "retry_after"),
    [
        (400, "The offer is no SDP: it has to begin with v=0.", None),
        (404, "That call is over; start a new one.", None),
        (409, "That call has a line already.", None),
        (503, "All 2 lines are busy; try again in a while.", 30),
    ],
)
async def test_a_refused_call_has_its_status_and_its_sentence(
    status: int, sentence: str, retry_after: int | None
) -> None:
    async with served(ScriptedCalls(CallRefused(status, sentence, retry_after))) as server:
        got, body, response = await server.offer()
    assert (got, body) == (status, {"error": sentence})
    assert response.headers.get("Retry-After") == (str(retry_after) if retry_after else None)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The offer is no JSON object"),
        (b"{", "The offer is no JSON object"),
        (b"[1]", "The offer is no JSON object"),
        (b"\xff\xfe", "The offer is no JSON object"),
        (b'{"type": "offer"}', "The offer lacks 'sdp'."),
        (b'{"sdp": 5, "type": "offer"}', "In the offer 'sdp' is wrong"),
        (b'{"sdp": "v=0", "type": "answer"}', "In the offer 'type' is wrong"),
        (b'{"sdp": "v=0", "type": "offer", "x": 1}', "a field that is not known; known are: sdp"),
        (b'{"sdp": "v=0", "type": "offer", "profile": "/etc/passwd"}', "names no profile"),
        (b'{"sdp": "v=0", "type": "offer", "profile": "../x.yaml"}', "names no profile"),
        (b'{"sdp": "v=0", "type": "offer", "profile": "x.yaml"}', "names no profile"),
        (b'{"sdp": "v=0", "type": "offer", "profile": ["a"]}', "In the offer 'profile' is wrong"),
    ],
)
async def test_a_request_that_is_no_offer_is_a_400(body: bytes, sentence: str) -> None:
    calls = ScriptedCalls()
    async with served(calls) as server:
        kind = {"Content-Type": "application/json"}
        status, answer, _ = await server.ask("POST", "/api/calls", data=body, headers=kind)
    assert status == 400
    assert sentence in answer["error"]
    assert not calls.asked


async def test_what_is_too_large_or_no_json_is_refused() -> None:
    async with served(ScriptedCalls()) as server:
        status, body, _ = await server.offer(json=OFFER | {"sdp": "v=0" + "x" * 70_000})
        assert (status, body) == (413, {"error": "The request is too large; 64 KiB is the most."})
        status, body, _ = await server.ask("POST", "/api/calls", data="v=0")
        assert status == 415
        assert "application/json" in body["error"]


async def test_what_is_not_there_is_a_404_or_405_with_a_sentence() -> None:
    async with served(ScriptedCalls()) as server:
        status, body, _ = await server.ask("GET", "/api/nothing")
        assert (status, body["error"]) == (404, "There is nothing to get at this path.")
        status, body, _ = await server.ask("GET", "/api/two%0Alines")
        assert (status, body["error"]) == (404, "There is nothing to get at this path.")
        status, body, _ = await server.ask("PUT", "/api/calls")
        assert (status, body["error"]) == (405, "PUT here gives: Method Not Allowed.")
        assert (await server.ask("GET", "/nothing.js"))[0] == 404


async def test_a_failure_of_ours_is_a_500_that_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(ScriptedCalls(RuntimeError("inside"))) as server:
        status, body, _ = await server.offer()
    assert status == 500
    assert "inside" not in body["error"]
    assert "POST /api/calls failed" in caplog.text
