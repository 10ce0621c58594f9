"""From a page's offer to a line and our answer."""

from __future__ import annotations

import anyio
from aiortc import (
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.rtcconfiguration import RTCBundlePolicy

from agent.errors import CallRefused
from agent.webrtc import compat
from agent.webrtc.line import Watches, WebRtcLine
from agent.webrtc.settings import IceSettings
from agent.webrtc.track import OutgoingTrack

LONGEST_OFFER = 32_768
MOST_MEDIA = 4
MOST_CANDIDATES = 32
WITHIN = 8.0
"""Seconds for an answer; an unreachable STUN server alone takes five."""


async def answer(
    offer_sdp: str, ice: IceSettings, watches: Watches | None = None
) -> tuple[WebRtcLine, str]:
    """Take a page's offer, return the line to it and the answer's SDP.

    The line is not connected yet: its ``run`` sees to the time-outs, its ``close`` frees it.
    Cancelling frees what was begun.

    Raises:
        CallRefused: with 400 if it is no SDP, or has no audio in Opus; with 503 if there is no
            address or free port to receive on.
    """
    offer = _clean(offer_sdp)
    pc, transceiver, track = connection(ice)
    line = WebRtcLine(pc, track, watches)
    line.wire(transceiver)
    track.on_tick = line.tick
    done = False
    try:
        with anyio.fail_after(WITHIN):
            sdp = await _negotiate(pc, transceiver, offer)
        done = True
    except TimeoutError as error:
        raise CallRefused(503, "No answer to the call in time; try again.", 2) from error
    finally:
        if not done:
            with anyio.CancelScope(shield=True):
                await compat.close_half_made(pc)
    return line, sdp


def connection(
    ice: IceSettings,
) -> tuple[RTCPeerConnection, RTCRtpTransceiver, OutgoingTrack]:
    """Return a connection with one two-way Opus track, as both ends want it."""
    servers = [
        RTCIceServer(
            urls=server.url,
            username=server.username,
            credential=server.credential.get_secret_value() if server.credential else None,
        )
        for server in ice.servers
    ]
    pc = RTCPeerConnection(
        RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
    )
    track = OutgoingTrack()
    transceiver = pc.addTransceiver(track, direction="sendrecv")
    codecs = RTCRtpSender.getCapabilities("audio").codecs
    transceiver.setCodecPreferences([c for c in codecs if c.mimeType.lower() == "audio/opus"])
    compat.choose_addresses(pc, ice.hosts, ice.ports)
    return pc, transceiver, track


def check_candidates(sdp: str) -> None:
    """Refuse to go on without a single address of our own: the connection would wait for ever.

    Raises:
        CallRefused: 503.
    """
    if "a=candidate:" not in sdp:
        raise CallRefused(
            503, "There is no free address or UDP port for the call; try again in a moment.", 5
        )


async def _negotiate(pc: RTCPeerConnection, transceiver: RTCRtpTransceiver, offer: str) -> str:
    try:
        await pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        if transceiver.mid is None:
            raise ValueError("its audio cannot be used")
        for other in pc.getTransceivers():
            if other is not transceiver:
                other.direction = "inactive"
        await pc.setLocalDescription(await pc.createAnswer())
    except CallRefused:
        raise
    except Exception as error:
        # aiortc's parser fails in many ways on a broken text; all of them mean this.
        why = str(error) or type(error).__name__
        raise CallRefused(400, f"The offer is no SDP that can be answered ({why}).") from error
    sdp = pc.localDescription.sdp
    check_candidates(sdp)
    return sdp


def _clean(sdp: str) -> str:
    """Return the offer without what only costs time.

    A name in ``.local`` takes a second to be looked up in vain, and the page's checks tell its
    address anyway. Without an end of candidates the connection waits for those checks.
    """
    if len(sdp) > LONGEST_OFFER or not sdp.startswith("v=0"):
        raise CallRefused(400, "The offer is no SDP: it has to begin with v=0.")
    lines = sdp.splitlines()
    media = [line for line in lines if line.startswith("m=")]
    if not any(line.startswith("m=audio ") for line in media):
        raise CallRefused(400, "The offer has no audio; a call needs an m=audio section.")
    if len(media) > MOST_MEDIA:
        raise CallRefused(400, f"The offer has {len(media)} media; {MOST_MEDIA} are allowed.")
    kept, candidates = [], 0
    for line in lines:
        if line.startswith("a=end-of-candidates"):
            continue
        if line.startswith("a=candidate:"):
            candidates += 1
            if ".local " in line or candidates > MOST_CANDIDATES:
                continue
        kept.append(line)
    return "\r\n".join(kept) + "\r\n"
