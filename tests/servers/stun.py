"""A STUN server that tells everybody the same address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aioice import stun
from anyio.abc import SocketAttribute, UDPSocket


@asynccontextmanager
async def answering_stun(address: tuple[str, int]) -> AsyncIterator[int]:
    """Serve on a free UDP port of 127.0.0.1; yields the port."""
    async with (
        await anyio.create_udp_socket(local_host="127.0.0.1") as server,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(_serve, server, address)
        yield server.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def _serve(server: UDPSocket, address: tuple[str, int]) -> None:
    async for data, (host, port) in server:
        asked = stun.parse_message(data)
        told = stun.Message(
            message_method=asked.message_method,
            message_class=stun.Class.RESPONSE,
            transaction_id=asked.transaction_id,
        )
        told.attributes["XOR-MAPPED-ADDRESS"] = address
        await server.sendto(bytes(told), host, port)
