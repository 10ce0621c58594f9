"""Every private name of aiortc and aioice that we touch, in one place.

``tests/agent/webrtc/test_compat.py`` holds each of them against the installed version: when it
fails after an update, this is the file to mend. Importing this module makes both libraries
check once a second, not every five, whether the other side is still there.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aioice.ice
import anyio
from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aiortc import RTCPeerConnection, RTCRtpReceiver
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import RtpPacket

from agent.webrtc.reorder import CLOCK

aioice.ice.CONSENT_INTERVAL = 1  # type: ignore[assignment,misc,unused-ignore]  # 5: a dead peer was noticed after 32 s
aioice.ice.CONSENT_FAILURES = 3  # type: ignore[assignment,misc,unused-ignore]

STATISTICS = "_RTCRtpReceiver__remote_streams"
TRANSCEIVERS = "_RTCPeerConnection__transceivers"
_RECEIVE_BUFFER = 1 << 18
_STUN_WAIT = 5.0

OnPacket = Callable[[RtpPacket, float], None]


def take_packets(receiver: RTCRtpReceiver, on_packet: OnPacket) -> None:
    """Get RTP packets as they arrive, past aiortc's jitter buffer and decoder thread.

    ``on_packet`` gets the packet and its time of arrival on ``time.monotonic()``; it must not
    raise. Receiver reports to the sender go on.
    """
    streams: dict[int, StreamStatistics] = getattr(receiver, STATISTICS)

    async def handle(packet: RtpPacket, arrival_time_ms: int) -> None:
        now = time.monotonic()
        if packet.ssrc not in streams:
            if len(streams) > 8:  # a sender that changes its number all the time
                streams.clear()
            streams[packet.ssrc] = StreamStatistics(CLOCK)
        streams[packet.ssrc].add(packet)
        on_packet(packet, now)

    receiver._handle_rtp_packet = handle  # type: ignore[method-assign]


async def close_half_made(pc: RTCPeerConnection) -> None:
    """Close a connection whose negotiation failed at any point.

    A broken offer can leave it with a medium that never got a transport; its own ``close``
    stumbles over that one, and would leave the rest open.
    """
    transceivers = getattr(pc, TRANSCEIVERS)
    transceivers[:] = [it for it in transceivers if it.receiver.transport is not None]
    await pc.close()


def choose_addresses(
    pc: RTCPeerConnection, hosts: Sequence[str], ports: tuple[int, int] | None
) -> None:
    """Make a connection gather these addresses and ports; call it before any description is set.

    Without ``hosts`` they are this machine's, and 127.0.0.1 where it has no other (aioice alone
    would find none, and wait for ever).
    """
    for transceiver in pc.getTransceivers():
        connection = transceiver.receiver.transport.transport.iceGatherer._connection
        plain = connection.get_component_candidates
        gathering = _Gathering(connection, plain, hosts, ports)
        connection.get_component_candidates = gathering.candidates  # type: ignore[method-assign]


class _Gathering:
    def __init__(
        self,
        connection: aioice.ice.Connection,
        plain: Callable[..., Awaitable[list[Candidate]]],
        hosts: Sequence[str],
        ports: tuple[int, int] | None,
    ) -> None:
        self._connection = connection
        self._plain = plain
        self._hosts = hosts
        self._ports = ports

    async def candidates(  # the signature is aioice's
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109
    ) -> list[Candidate]:
        """Stand in for aioice's ``Connection.get_component_candidates``."""
        addresses = list(self._hosts) or addresses or ["127.0.0.1"]
        if self._ports is None:
            return await self._plain(component=component, addresses=addresses, timeout=timeout)
        opened = [await self._open(component, address) for address in addresses]
        protocols = [protocol for protocol in opened if protocol is not None]
        self._connection._protocols += protocols
        found = [protocol.local_candidate for protocol in protocols]
        found += await self._reflexive(protocols)
        found += await self._plain(component=component, addresses=[], timeout=timeout)  # TURN
        return found

    async def _open(self, component: int, address: str) -> Any:
        """Return a protocol on a free port of the range; none where all are taken."""
        assert self._ports is not None
        first, last = self._ports
        loop = asyncio.get_running_loop()
        begin = random.randint(first, last)
        for step in range(last - first + 1):
            port = first + (begin - first + step) % (last - first + 1)
            try:
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: aioice.ice.StunProtocol(self._connection), local_addr=(address, port)
                )
            except OSError:
                continue
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            protocol.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", address),
                component=component,
                transport="udp",
                priority=candidate_priority(component, "host"),
                host=address,
                port=port,
                type="host",
            )
            return protocol
        return None

    async def _reflexive(self, protocols: list[Any]) -> list[Candidate]:
        server = self._connection.stun_server
        found: list[Candidate] = []
        if server is None:
            return found

        async def ask(protocol: Any) -> None:
            try:
                candidate, _ = await aioice.ice.server_reflexive_candidate(protocol, server)
            except (OSError, aioice.stun.TransactionError):
                return
            found.append(candidate)

        with anyio.move_on_after(_STUN_WAIT):
            async with anyio.create_task_group() as group:
                for protocol in protocols:
                    if ":" not in protocol.local_candidate.host:
                        group.start_soon(ask, protocol)
        return found
