"""Offers, good and bad."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.errors import CallRefused
from agent.webrtc import IceSettings, Watches, WebRtcLine
from agent.webrtc import answer as answered
from agent.webrtc.peer import Peer
from tests.agent.webrtc.calls import silent

LOCAL = IceSettings(hosts=("127.0.0.1",))
UNCONNECTED = Watches(connect=0.0)


async def answer(sdp: str, ice: IceSettings = LOCAL) -> tuple[WebRtcLine, str]:
    """Answer an offer whose caller never connects: ``run`` gives such a line up at once."""
    return await answered(sdp, ice, UNCONNECTED)


async def offer() -> str:
    peer = Peer(silent, lambda samples, position, arrival: None, ice=LOCAL)
    sdp = await peer.offer()
    await peer.close()
    return sdp


async def refusal(sdp: str, ice: IceSettings = LOCAL) -> CallRefused:
    with pytest.raises(CallRefused) as caught:
        await answer(sdp, ice)
    return caught.value


async def test_what_is_no_sdp_is_refused() -> None:
    for text in ("", "hello", "{}", "v=1", "\x00" * 100, "v=0" * 20_000):
        error = await refusal(text)
        assert error.status == 400
        assert str(error) == "The offer is no SDP: it has to begin with v=0."


async def test_an_offer_without_audio_is_refused() -> None:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.createDataChannel("firstword")
    await pc.setLocalDescription(await pc.createOffer())
    error = await refusal(pc.localDescription.sdp)
    await pc.close()
    assert error.status == 400
    assert str(error) == "The offer has no audio; a call needs an m=audio section."


async def test_an_offer_without_opus_is_refused() -> None:
    sdp = re.sub(r"opus/48000/2", "speex/48000/2", await offer())
    error = await refusal(sdp)
    assert error.status == 400
    assert str(error).startswith("The offer is no SDP that can be answered (")


async def test_an_offer_with_many_media_is_refused() -> None:
    sdp = await offer()
    error = await refusal(sdp + "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\n" * 5)
    assert error.status == 400
    assert "media; 4 are allowed" in str(error)


async def test_the_answer_is_opus_alone_with_our_candidates_and_no_wait_for_theirs() -> None:
    line, sdp = await answer(await offer())
    await line.run()
    assert "opus/48000/2" in sdp
    assert "PCMU" not in sdp
    assert "127.0.0.1" in sdp


async def test_a_name_in_local_is_not_looked_up() -> None:
    sdp = await offer()
    hidden = re.sub(r"127\.0\.0\.1 (\d+) typ host", r"ab12-cd.local \1 typ host", sdp)
    assert ".local" in hidden
    line, _ = await answer(hidden)
    await line.run()


async def test_video_is_declined_and_the_call_goes_on_without() -> None:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTransceiver("audio")
    pc.addTransceiver("video")
    await pc.setLocalDescription(await pc.createOffer())
    line, sdp = await answer(pc.localDescription.sdp)
    await line.run()
    await pc.close()
    assert "a=inactive" in sdp.split("m=video")[1]


async def test_without_a_free_port_the_caller_is_told_to_come_back(
    unused_udp_port: Callable[[], int],
) -> None:
    port = unused_udp_port()
    taken = IceSettings(hosts=("127.0.0.1",), ports=(port, port))
    sdp = await offer()
    line, _ = await answer(sdp, taken)
    error = await refusal(sdp, taken)
    await line.run()
    assert (error.status, error.retry_after) == (503, 5)
    assert str(error) == "There is no free address or UDP port for the call; try again in a moment."


@settings(deadline=None, max_examples=40)
@example([(22, 1)])  # a medium without a transport: closing aiortc's connection stumbled over it
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 4)), min_size=1, max_size=4))
async def test_a_broken_offer_is_answered_or_refused_and_nothing_else(
    breaks: list[tuple[int, int]],
) -> None:
    lines = OFFER.splitlines()
    for place, kind in breaks:
        at = min(place, len(lines) - 1)
        half = lines[at][: len(lines[at]) // 2]
        lines[at] = (half, "a=", "m=audio", "x", lines[-at])[kind]
    try:
        line, _ = await answer("\r\n".join(lines) + "\r\n")
    except CallRefused:
        return
    await line.run()


OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=msid-semantic: WMS stream
m=audio 9 UDP/TLS/RTP/SAVPF 111 63
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1 1 udp 2113937151 127.0.0.1 50000 typ host generation 0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=ice-options:trickle
a=fingerprint:sha-256 AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=ssrc:1 cname:x
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=fingerprint:sha-256 AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99
a=setup:actpass
a=mid:1
a=sctp-port:5000
a=max-message-size:262144"""  # noqa: E501 - what Chromium sends, cut short
