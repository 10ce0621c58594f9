"""What stands before every handler: who may ask, and how a refusal looks."""

from __future__ import annotations

import hmac
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from agent.errors import CallRefused
from agent.server.contract import ServeSettings, is_loopback
from agent.server.limits import RateLimit

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN = ("/api/info",)
"""What of the API needs no token: the page asks it to learn that one is needed."""

CHANGING = (hdrs.METH_POST, hdrs.METH_DELETE, hdrs.METH_PUT, hdrs.METH_PATCH)

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; object-src 'none';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "FirstWord",
}

SCRIPT = "text/javascript"


async def dress(request: web.Request, response: web.StreamResponse) -> None:
    """Put the headers on a response that every response has.

    The page is asked for anew each time and costs a 304; the API is never kept.
    """
    response.headers.update(HEADERS)
    api = request.path.startswith("/api/")
    response.headers[hdrs.CACHE_CONTROL] = "no-store" if api else "no-cache"
    if request.path.endswith((".js", ".mjs")) and response.status == 200:
        response.content_type = SCRIPT  # some systems' tables call it text/plain


def refusal(status: int, sentence: str, retry_after: int | None = None) -> web.Response:
    """Make the response that says why not."""
    headers = {} if retry_after is None else {hdrs.RETRY_AFTER: str(retry_after)}
    if status == 401:
        headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="firstword"'
    return web.json_response({"error": sentence}, status=status, headers=headers)


@web.middleware
async def sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever is raised into a status and a sentence; the one place that does."""
    try:
        return await handler(request)
    except CallRefused as error:
        return refusal(error.status, str(error), error.retry_after)
    except web.HTTPRequestEntityTooLarge:
        limit = request.app._client_max_size // 1024
        return refusal(413, f"The request is too large; {limit} KiB is the most.")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return refusal(error.status, f"{request.method} here gives: {error.reason}.")
    except Exception:
        log.exception("%s %s failed", request.method, _route(request))
        return refusal(500, "The agent failed to answer this; its log says why.")


@dataclass(slots=True)
class Guard:
    """Lets in those who may: by host, origin, token, and not too often."""

    settings: ServeSettings
    rate: RateLimit = field(init=False)

    def __post_init__(self) -> None:
        a_minute = self.settings.calls_a_minute
        self.rate = RateLimit(a_minute / 60, max(1, a_minute // 2))

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse with 401, 403 or 429, or pass the request on."""
        self._check_host(request)
        if request.method in CHANGING:
            self._check_origin(request)
        if _private(request.path):
            self._check_token(request)
        if request.method == hdrs.METH_POST:
            self._check_rate(request)
        return await handler(request)

    def admits(self, request: web.Request) -> bool:
        """Tell whether a request shows the token, or needs none."""
        wanted = self.settings.token
        if wanted is None:
            return True
        scheme, _, shown = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        same = hmac.compare_digest(
            shown.strip().encode("utf-8", "surrogateescape"), wanted.get_secret_value().encode()
        )
        return same and scheme.lower() == "bearer"

    def _check_host(self, request: web.Request) -> None:
        """Refuse names that are not this machine's: a page elsewhere may point one here."""
        host = _hostname(request.headers.get(hdrs.HOST, ""))
        if self.settings.loopback and self.settings.token is None and not is_loopback(host):
            raise CallRefused(403, f"This server answers to localhost only, not to {host!r}.")

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and _netloc(origin) != request.headers.get(hdrs.HOST, "").lower():
            raise CallRefused(403, "Only the page that this server serves may ask this.")

    def _check_token(self, request: web.Request) -> None:
        if self.admits(request):
            return
        if hdrs.AUTHORIZATION not in request.headers:
            raise CallRefused(401, "This server wants a token; send it as 'Authorization: Bearer'.")
        self._check_rate(request)  # guesses count
        raise CallRefused(401, "The token is not the right one.")

    def _check_rate(self, request: web.Request) -> None:
        wait = math.ceil(self.rate.take(request.remote or "", time.monotonic()))
        if wait:
            raise CallRefused(429, f"Too many calls from one address; wait {wait} s.", wait)


def _private(path: str) -> bool:
    return path == "/metrics" or (path.startswith("/api/") and path not in OPEN)


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _route(request: web.Request) -> str:
    """Name the route without what a caller put in the path."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "a path of no route"
