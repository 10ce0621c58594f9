"""A web server of a few files that can resume, cut off, refuse and wait, on a port of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Files:
    """What the server has, and how it behaves.

    Attributes:
        files: by path, "/a/b", and its query if it has one.
        elsewhere: paths that are answered by the address where the file is.
        cuts: bytes of the body after which the next answers break off, one an answer.
        refusal: a status that it answers everything with.
        stranger: clients that name themselves so get a 403.
        ranges: whether it can resume.
        gate: bodies wait for it after their first byte.
        asked: the path and the range of every request so far.
    """

    files: dict[str, bytes]
    elsewhere: dict[str, str] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    refusal: int | None = None
    stranger: str | None = None
    ranges: bool = True
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    url: str = ""


@contextmanager
def serving(files: Files) -> Iterator[Files]:
    """Serve until the end of the block; the gate is open unless the test closes it."""
    files.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, files)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        files.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield files
        finally:
            files.gate.set()
            server.shutdown()
            thread.join()


def _answer(request: BaseHTTPRequestHandler, files: Files) -> None:
    wanted = request.headers.get("Range") if files.ranges else None
    files.asked.append((request.path, request.headers.get("Range")))
    body = files.files.get(request.path)
    if request.path in files.elsewhere:
        request.send_response(302)
        request.send_header("Location", files.elsewhere[request.path])
        request.send_header("Content-Length", "0")
        request.end_headers()
        return
    refused = files.stranger and files.stranger in request.headers.get("User-Agent", "")
    if files.refusal or refused or body is None:
        request.send_error(files.refusal or (403 if refused else 404))
        return
    start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
    request.send_response(206 if wanted else 200)
    if wanted:
        request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    kind = "text/html" if request.path.endswith("/") else "application/octet-stream"
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body) - start))
    request.end_headers()
    end = start + files.cuts.pop(0) if files.cuts else len(body)
    request.wfile.write(body[start : min(start + 1, end)])
    files.begun.set()
    files.gate.wait(10)
    request.wfile.write(body[start + 1 : end])
