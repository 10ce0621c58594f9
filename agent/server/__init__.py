"""The HTTP edge: the page, the picker, and offers answered. It knows no call from inside.

    GET  /, /app.js …      the page                                      open
    GET  /healthz          {"status": "ok"}                              open
    GET  /api/info         version, calls, limit, ICE servers            open
    GET  /api/profiles     the picker's cards                            token
    POST /api/calls        {"sdp", "type": "offer", "profile"?, "session"?} → 201 answer
    DELETE /api/calls/{id} hangs up → 204                                token
    /api/calls/…           who calls, and what may be done to it: see ``desk``
    GET  /api/openapi.json all of this, described                        token
    GET  /metrics, /report, /api/report   see ``figures``
    /api/speakers          voices made known, see ``voices``
    /api/memories          what is remembered of them, see ``memories``

Everything refused comes as ``{"error": sentence}`` with its status. ``docs/protocol.md`` has
the words that follow on the data channel.
"""

from __future__ import annotations

from agent.server.contract import Calls, ServeSettings, Started
from agent.server.figures import Figures
from agent.server.memories import MemoryRoutes
from agent.server.run import Routes, serve
from agent.server.signals import check_input, end_with_input, until_signal
from agent.server.voices import VoiceRoutes

__all__ = [
    "Calls",
    "Figures",
    "MemoryRoutes",
    "Routes",
    "ServeSettings",
    "Started",
    "VoiceRoutes",
    "check_input",
    "end_with_input",
    "serve",
    "until_signal",
]
