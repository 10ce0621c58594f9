"""The private names of aiortc and aioice that we touch are still there, and mean the same.

When one of these fails after an update of aiortc, mend ``agent/webrtc/compat.py``.
"""

from __future__ import annotations

import inspect
import socket

import aioice.ice
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpreceiver import RTCRtpReceiver, StreamStatistics

from agent.webrtc import IceServer, IceSettings, compat
from agent.webrtc.answer import connection


async def test_a_receiver_still_counts_its_streams_where_we_put_them() -> None:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    receiver = pc.addTransceiver("audio").receiver
    assert getattr(receiver, compat.STATISTICS) == {}
    await pc.close()


async def test_a_connection_still_keeps_its_media_where_we_look_for_them() -> None:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    transceiver = pc.addTransceiver("audio")
    assert getattr(pc, compat.TRANSCEIVERS) == [transceiver]
    await compat.close_half_made(pc)
    assert pc.connectionState == "closed"


def test_packets_still_pass_the_door_that_we_replace() -> None:
    parameters = inspect.signature(RTCRtpReceiver._handle_rtp_packet).parameters
    assert list(parameters) == ["self", "packet", "arrival_time_ms"]
    caller = inspect.getsource(RTCDtlsTransport._handle_rtp_data)
    assert "receiver._handle_rtp_packet(packet, arrival_time_ms=arrival_time_ms)" in caller


def test_statistics_still_take_packets() -> None:
    assert list(inspect.signature(StreamStatistics).parameters) == ["clockrate"]
    assert list(inspect.signature(StreamStatistics.add).parameters) == ["self", "packet"]


def test_consent_is_checked_every_second() -> None:
    assert (aioice.ice.CONSENT_INTERVAL, aioice.ice.CONSENT_FAILURES) == (1, 3)
    source = inspect.getsource(aioice.ice.Connection.query_consent)
    assert "CONSENT_INTERVAL *" in source
    assert ">= CONSENT_FAILURES" in source


def test_candidates_are_still_gathered_through_the_method_that_we_replace() -> None:
    method = aioice.ice.Connection.get_component_candidates
    assert list(inspect.signature(method).parameters) == [
        "self",
        "component",
        "addresses",
        "timeout",
    ]
    source = inspect.getsource(aioice.ice.Connection.gather_candidates)
    assert "self.get_component_candidates(component=component, addresses=addresses)" in source
    assert "self._protocols += host_protocols" in inspect.getsource(method)


async def test_media_comes_in_on_the_ports_and_addresses_that_were_set() -> None:
    settings = IceSettings(hosts=("127.0.0.1",), ports=(41_000, 41_099))
    pc, _, _ = connection(settings)
    await pc.setLocalDescription(await pc.createOffer())
    candidates = [line for line in pc.localDescription.sdp.splitlines() if "candidate:" in line]
    assert candidates
    for candidate in candidates:
        _, _, _, _, address, port, *_ = candidate.split()
        assert address == "127.0.0.1"
        assert 41_000 <= int(port) <= 41_099
    await pc.close()


async def test_a_port_that_is_taken_is_passed_over() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        pc, _, _ = connection(IceSettings(hosts=("127.0.0.1",), ports=(port, port)))
        await pc.setLocalDescription(await pc.createOffer())
        assert "a=candidate:" not in pc.localDescription.sdp
        await pc.close()


async def test_a_machine_with_nothing_but_loopback_has_a_candidate() -> None:
    pc, transceiver, _ = connection(IceSettings())
    ice = transceiver.receiver.transport.transport.iceGatherer._connection
    found = await ice.get_component_candidates(component=1, addresses=[])
    assert [candidate.host for candidate in found] == ["127.0.0.1"]
    await pc.close()


async def test_a_reflexive_address_is_asked_for_on_ports_that_were_set_too() -> None:
    from tests.servers.stun import answering_stun

    async with answering_stun(("203.0.113.9", 4_321)) as port:
        settings = IceSettings(
            servers=(IceServer(url=f"stun:127.0.0.1:{port}"),),
            hosts=("127.0.0.1",),
            ports=(41_100, 41_199),
        )
        pc, _, _ = connection(settings)
        await pc.setLocalDescription(await pc.createOffer())
        assert "203.0.113.9 4321 typ srflx" in pc.localDescription.sdp
        await pc.close()


@pytest.mark.parametrize(
    "url", ["http://host", "stun:", "turn:host?transport=sctp", "stun:host?transport=udp", "host"]
)
def test_an_ice_address_that_is_none_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match="is no address of an ICE server"):
        IceServer(url=url)


def test_ports_are_a_range() -> None:
    with pytest.raises(ValueError, match="between 1024 and 65535"):
        IceSettings(ports=(5000, 4000))
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        IceSettings(hosts=("everywhere",))
