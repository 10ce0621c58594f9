"""What is remembered, over HTTP: shown, taken along, forgotten, and only on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr

from agent.memory.keeper import Memories, open_memories
from agent.memory.store import MemoryBook
from tests.agent.memory.test_store import NOW, put, remembered
from tests.servers.edge_http import TOKEN, ScriptedCalls, Served, bearer, served


@asynccontextmanager
async def memories_of(folder: Path) -> AsyncIterator[Memories]:
    """Open what is remembered of Anna, by two characters, and of 晓明."""
    book = MemoryBook(folder)
    for memory in (remembered("Anna", "fox"), remembered("Anna", "owl"), remembered("晓明")):
        await anyio.to_thread.run_sync(put, book, memory)
    async with open_memories(folder) as memories:
        yield memories


@asynccontextmanager
async def remembering(folder: Path, **changes: Any) -> AsyncIterator[Served]:
    """Serve it."""
    async with (
        memories_of(folder) as memories,
        served(ScriptedCalls(), memories=memories, **changes) as server,
    ):
        yield server


async def test_what_is_remembered_is_listed_shown_and_forgotten(tmp_path: Path) -> None:
    async with remembering(tmp_path) as server:
        status, body, _ = await server.ask("GET", "/api/memories")
        assert status == 200
        assert body["memories"][0] == {
            "name": "Anna", "profile": "fox", "kept": 1, "summed": 0, "dropped": 0,
            "since": NOW, "latest": NOW, "days": 90,
        }  # fmt: skip
        assert "42" not in str(body).replace(NOW, ""), "no words in the list"
        status, anna, response = await server.ask("GET", "/api/memories/Anna")
        assert status == 200
        assert [one["profile"] for one in anna["memories"]] == ["fox", "owl"]
        assert anna["memories"][0]["summary"] == "Likes tea."
        assert anna["memories"][0]["turns"] == [
            {"at": NOW, "caller": "my pin is 42", "reply": "I see.", "interrupted": False}
        ]
        assert response.headers["Cache-Control"] == "no-store"
        assert (await server.ask("DELETE", "/api/memories/Anna"))[0] == 204
        for method in ("GET", "DELETE"):
            status, body, _ = await server.ask(method, "/api/memories/Anna")
            assert (status, body["error"]) == (
                404, "Nothing is remembered of anybody of that name.",
            )  # fmt: skip
        assert (await server.ask("DELETE", "/api/memories/晓明"))[0] == 204
        assert (await server.ask("GET", "/api/memories"))[1] == {"memories": []}


async def test_over_a_network_nobody_reads_what_others_said(tmp_path: Path) -> None:
    open_to_all: dict[str, Any] = {"host": "0.0.0.0", "token": SecretStr(TOKEN)}
    async with remembering(tmp_path, **open_to_all) as server:
        server.url = server.url.replace(server.url.split("//")[1].split(":")[0], "127.0.0.1")
        for method, path in (
            ("GET", "/api/memories"),
            ("GET", "/api/memories/Anna"),
            ("DELETE", "/api/memories/Anna"),
        ):
            status, body, _ = await server.ask(method, path, headers=bearer(TOKEN))
            assert status == 403
            assert "only on the agent's own machine, with: firstword memory" in body["error"]
    assert len(await anyio.to_thread.run_sync(MemoryBook(tmp_path).all)) == 3


async def test_where_a_token_is_set_it_is_wanted_and_foreign_pages_are_refused(
    tmp_path: Path,
) -> None:
    async with remembering(tmp_path, token=SecretStr(TOKEN)) as server:
        assert (await server.ask("GET", "/api/memories"))[0] == 401
        assert (await server.ask("GET", "/api/memories", headers=bearer(TOKEN)))[0] == 200
        foreign = bearer(TOKEN) | {"Origin": "http://evil.example"}
        assert (await server.ask("DELETE", "/api/memories/Anna", headers=foreign))[0] == 403


async def test_a_file_that_cannot_be_trusted_is_a_sentence(tmp_path: Path) -> None:
    async with remembering(tmp_path) as server:
        await anyio.to_thread.run_sync((tmp_path / "speakers.key").unlink)
        for method, path in (("GET", "/api/memories"), ("DELETE", "/api/memories/Anna")):
            status, body, _ = await server.ask(method, path)
            assert status == 409
            assert "cannot be trusted" in body["error"]
