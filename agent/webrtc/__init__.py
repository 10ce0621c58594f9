"""WebRTC: calls carried by aiortc. Nothing else in ``agent`` imports aiortc or aioice.

``answer`` takes a page's offer and gives a ``WebRtcLine``; ``peer`` is the other end, which the
scripted caller speaks with. Between the wire and the ear nothing waits without need: packets
are put in order, decoded where they arrive, and sent ready-made on one grid of 20 ms.
"""

from __future__ import annotations

from agent.webrtc.answer import answer
from agent.webrtc.line import Watches, WebRtcLine
from agent.webrtc.settings import IceServer, IceSettings

__all__ = ["IceServer", "IceSettings", "Watches", "WebRtcLine", "answer"]
