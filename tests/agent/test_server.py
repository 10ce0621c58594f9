"""The HTTP edge through real HTTP; the calls behind it are scripted."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import ClientResponse, ClientSession
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from agent.errors import CallRefused, NotPossible
from agent.profile import Entry, Shelf
from agent.resources import folder
from agent.server import ServeSettings, Started, sentence_of, serve, until_signal
from agent.server.limits import MOST_PEERS, RateLimit

SDP = "v=0 a secret offer"
OFFER = {"sdp": SDP, "type": "offer"}
TOKEN = "correct-horse-battery"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run on uvloop, as ``firstword serve`` does."""
    return "asyncio", {"use_uvloop": True}


@dataclass
class ScriptedCalls:
    """Says what it is told to, and remembers what it was asked."""

    answer: Started | CallRefused | Exception = field(
        default_factory=lambda: Started("c1", "s1", "v=0 answer")
    )
    limit: int = 2
    count: int = 1
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    async def start(self, offer_sdp: str, profile_id: str | None, session: str | None) -> Started:
        self.asked.append((offer_sdp, profile_id, session))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def hang_up(self, call: str) -> bool:
        return call == "c1"

    async def drain(self, deadline_s: float) -> None:
        self.limit = 0


def shipped() -> list[Entry]:
    return Shelf((folder("profiles"),)).load_all()


@dataclass
class Served:
    """A server that runs, and one who asks it."""

    url: str
    session: ClientSession

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any, ClientResponse]:
        async with self.session.request(method, self.url + path, **more) as response:
            text = await response.text()
            body = json.loads(text) if response.content_type == "application/json" else text
            return response.status, body, response

    async def offer(self, **more: Any) -> tuple[int, Any, ClientResponse]:
        return await self.ask("POST", "/api/calls", **({"json": OFFER} | more))


@asynccontextmanager
async def served(calls: ScriptedCalls, **changes: Any) -> AsyncIterator[Served]:
    """Run a server on a free port for as long as the block lasts."""
    asked = replace(ServeSettings(port=0), **changes)
    addresses: list[str] = []
    up = anyio.Event()

    def started(address: str) -> None:
        addresses.append(address)
        up.set()

    async with ClientSession() as session, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve, asked, calls, shipped, started=started))
        with anyio.fail_after(10):
            await up.wait()
        yield Served(addresses[0].rstrip("/"), session)
        tasks.cancel_scope.cancel()


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


# --- who may --------------------------------------------------------------------------------


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_without_the_right_token_nothing_but_the_page_is_told() -> None:
    calls = ScriptedCalls()
    async with served(calls, token=SecretStr(TOKEN)) as server:
        assert (await server.ask("GET", "/"))[0] == 200
        for ask in (
            partial(server.ask, "GET", "/api/profiles"),
            partial(server.ask, "DELETE", "/api/calls/c1"),
            server.offer,
        ):
            status, body, response = await ask()
            assert (status, response.headers["WWW-Authenticate"][:6]) == (401, "Bearer")
            assert "wants a token" in body["error"]
            for wrong in (bearer("wrong"), bearer(""), {"Authorization": f"Basic {TOKEN}"}):
                status, body, _ = await ask(headers=wrong)
                assert (status, body) == (401, {"error": "The token is not the right one."})
            assert (await ask(headers=bearer(TOKEN)))[0] in (200, 201, 204)
    assert len(calls.asked) == 1


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://[", "https://x:1"])
async def test_another_sites_page_cannot_call(origin: str) -> None:
    calls = ScriptedCalls()
    async with served(calls) as server:
        status, body, _ = await server.offer(headers={"Origin": origin})
        assert (status, body["error"][:9]) == (403, "Only the ")
        status, _, _ = await server.ask("DELETE", "/api/calls/c1", headers={"Origin": origin})
        assert status == 403
        assert not calls.asked
        assert (await server.offer(headers={"Origin": server.url}))[0] == 201


async def test_a_name_that_was_pointed_at_loopback_is_not_answered() -> None:
    async with served(ScriptedCalls()) as server:
        for host in ("evil.example", "127.0.0.1.evil.example:80", "["):
            assert (await server.ask("GET", "/api/info", headers={"Host": host}))[0] == 403
        for host in ("localhost:1", "127.0.0.1", "[::1]:8700"):
            assert (await server.ask("GET", "/api/info", headers={"Host": host}))[0] == 200


async def test_one_address_cannot_begin_calls_without_end() -> None:
    async with served(ScriptedCalls(), calls_a_minute=4) as server:
        assert [(await server.offer())[0] for _ in range(3)] == [201, 201, 429]
        _, body, response = await server.offer()
        assert "Too many calls from one address" in body["error"]
        assert 1 <= int(response.headers["Retry-After"]) <= 15


async def test_guessing_the_token_is_slowed_down() -> None:
    async with served(ScriptedCalls(), calls_a_minute=4, token=SecretStr(TOKEN)) as server:
        ask = partial(server.ask, "GET", "/api/profiles", headers=bearer("guess"))
        assert [(await ask())[0] for _ in range(3)] == [401, 401, 429]


async def test_neither_token_nor_offer_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(ScriptedCalls(RuntimeError("x")), token=SecretStr(TOKEN)) as server:
        await server.offer(headers=bearer(TOKEN))
        await server.offer(headers=bearer(TOKEN + "x"))
    assert "failed" in caplog.text
    assert TOKEN not in caplog.text
    assert SDP not in caplog.text
    assert TOKEN not in repr(ServeSettings(token=SecretStr(TOKEN)))


@settings(deadline=None)
@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 10))
def test_no_more_pass_than_the_rate_and_the_burst_allow(gaps: list[float], burst: int) -> None:
    limit, now, passed = RateLimit(per_second=1, burst=burst), 0.0, 0
    for gap in gaps:
        now += gap
        passed += limit.take("a", now) == 0
        assert passed <= burst + now + 1e-6


def test_the_table_of_addresses_is_bounded() -> None:
    limit = RateLimit(per_second=1, burst=1)
    for number in range(MOST_PEERS + 3):
        limit.take(str(number), 0)
    assert limit.forgotten == 3


# --- where it listens -----------------------------------------------------------------------


async def said(**changes: Any) -> str:
    """Return the sentence with which a server does not start."""
    with pytest.raises(NotPossible) as raised:
        await serve(
            replace(ServeSettings(port=0), **changes), ScriptedCalls(), shipped, started=print
        )
    return str(raised.value)


async def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert await said(port=port) == (
            f"Cannot serve: port {port} of 127.0.0.1 is in use; stop what uses it, or choose"
            " another with --port."
        )


async def test_an_address_that_is_not_ours_is_one_sentence() -> None:
    sentence = "Cannot serve: 192.0.2.1 is no address of this machine; see --host."
    assert await said(host="192.0.2.1", token=SecretStr(TOKEN)) == sentence


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
async def test_beyond_loopback_a_token_is_needed(host: str) -> None:
    assert "can be reached from other machines, so a token is needed" in await said(host=host)


async def test_a_token_that_no_header_can_carry_is_refused() -> None:
    assert "only visible ASCII" in await said(token=SecretStr("pass wörd"))


async def test_a_server_that_is_cancelled_lets_go_of_its_port() -> None:
    async with served(ScriptedCalls()) as server:
        port = int(server.url.rsplit(":", 1)[1])
        await server.ask("GET", "/healthz")
    async with served(ScriptedCalls(), port=port) as server:
        assert (await server.ask("GET", "/healthz"))[0] == 200


# --- how it ends ----------------------------------------------------------------------------


@dataclass
class SlowCalls(ScriptedCalls):
    """Takes its time to end, until told."""

    draining: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def drain(self, deadline_s: float) -> None:
        self.answer = CallRefused(503, "The server is stopping.")
        self.draining.set()
        await self.ended.wait()


@dataclass
class Ending:
    """A server that is to be ended with signals, and its exit code."""

    calls: SlowCalls = field(default_factory=SlowCalls)
    code: int | None = None
    up: anyio.Event = field(default_factory=anyio.Event)
    address: str = ""

    async def run(self) -> None:
        asked = ServeSettings(port=0)
        serving = partial(serve, asked, self.calls, shipped, started=self._started)
        self.code = await until_signal(serving, self.calls)

    def _started(self, address: str) -> None:
        self.address = address
        self.up.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_lets_calls_end_and_new_ones_are_refused(number: signal.Signals) -> None:
    ending = Ending()
    async with ClientSession() as session, anyio.create_task_group() as tasks:
        tasks.start_soon(ending.run)
        await ending.up.wait()
        os.kill(os.getpid(), number)
        await ending.calls.draining.wait()
        status, body, _ = await Served(ending.address.rstrip("/"), session).offer()
        assert (status, body) == (503, {"error": "The server is stopping."})
        ending.calls.ended.set()
    assert ending.code == 0


async def test_a_second_signal_waits_for_nobody() -> None:
    ending = Ending()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ending.run)
        await ending.up.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await ending.calls.draining.wait()
        os.kill(os.getpid(), signal.SIGINT)
    assert ending.code == 130


async def test_what_keeps_a_server_from_starting_is_found_in_its_group() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asked = ServeSettings(port=taken.getsockname()[1])
        calls = ScriptedCalls()
        with pytest.raises(ExceptionGroup) as raised:
            await until_signal(partial(serve, asked, calls, shipped, started=print), calls)
    assert "is in use" in str(sentence_of(raised.value))
    assert sentence_of(ExceptionGroup("", [raised.value, ValueError()])) is None
