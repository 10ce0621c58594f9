"""What operators look at: ``/metrics`` for Prometheus, and the report of the latest turns.

    GET  /metrics          the text format of Prometheus                 token
    GET  /report           the report's page: an empty frame             open
    GET  /api/report       its contents, as HTML                         token

All of it follows the rule of the API: open on this machine, behind the token where one is set
(Prometheus sends it with ``authorization: {credentials: …}``). How many people call, and when,
is nobody's business but the operator's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import anyio
from aiohttp import web

from agent.errors import CallRefused, NotPossible
from agent.metrics import CONTENT_TYPE
from agent.resources import folder
from stages.threads import Workers

REPORT_S = 20.0
"""How long a report may take to be made."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The routes of those who look on.

    Args:
        metrics: returns the text for Prometheus, at once.
        report: returns the report's HTML, given what was asked for (``since``, ``profile``,
            ``call``); may take long, and runs in a thread.
        style: the report's style sheet.
    """

    metrics: Callable[[], bytes]
    report: Callable[[dict[str, str]], str]
    style: str
    _workers: Workers = field(default_factory=lambda: Workers(1))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes and their handlers."""
        return [
            web.get("/metrics", self._metrics),
            web.get("/report", self._page),
            web.get("/report.css", self._style),
            web.get("/api/report", self._report),
        ]

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self.metrics(), headers={"Content-Type": CONTENT_TYPE})

    async def _page(self, request: web.Request) -> web.FileResponse:
        return web.FileResponse(folder("web") / "report.html")

    async def _style(self, request: web.Request) -> web.Response:
        return web.Response(text=self.style, content_type="text/css")

    async def _report(self, request: web.Request) -> web.Response:
        try:
            with anyio.fail_after(REPORT_S):
                html = await self._workers.run(partial(self.report, dict(request.query)))
        except NotPossible as error:
            raise CallRefused(400, str(error)) from error
        except TimeoutError as error:
            raise CallRefused(503, f"The report was not made within {REPORT_S:g} s.", 30) from error
        return web.Response(text=html, content_type="text/html")
