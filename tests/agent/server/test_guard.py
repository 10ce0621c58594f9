"""Who may ask, and how often."""

from __future__ import annotations

import logging
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from agent.server import ServeSettings
from agent.server.limits import MOST_PEERS, RateLimit
from tests.servers.edge_http import SDP, TOKEN, ScriptedCalls, bearer, served


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
