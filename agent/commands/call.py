"""``firstword call``: call an agent with recorded speech, and show where the time went."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent import caller
from agent.caller import CallResult, Manners, TurnResult
from agent.errors import NotPossible
from agent.messages import Bye, Heard, Reply, ReplyEnd, ToPage, Trouble, Welcome

FAILED = 1


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument("url", metavar="URL", help="the page of the agent, as serve prints it")
    parser.add_argument(
        "--say",
        nargs="+",
        type=Path,
        required=True,
        metavar="FILE",
        help="recordings (wav, flac, ogg, mp3 …), one a turn",
    )
    parser.add_argument(
        "--profile", metavar="ID", help="the character to call (default: the agent's own choice)"
    )
    parser.add_argument(
        "--token", help="the agent's secret, if it has one; better in the variable FIRSTWORD_TOKEN"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for call.wav and call.json")
    parser.add_argument(
        "--barge-in",
        type=float,
        metavar="MS",
        help="interrupt: say the next recording so many ms after a reply becomes audible",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Call, and return 0 if no turn failed.

    Raises:
        NotPossible: an argument is wrong, or see ``agent.caller.place``.
    """
    if options.barge_in is not None and not 0 <= options.barge_in < math.inf:
        raise NotPossible(f"--barge-in wants milliseconds from 0 on, not {options.barge_in:g}.")
    manners = Manners(barge_in=None if options.barge_in is None else options.barge_in / 1000)

    async def call() -> int:
        return await place(
            options.url,
            options.say,
            profile=options.profile,
            token=options.token or os.environ.get("FIRSTWORD_TOKEN") or None,
            out=options.out,
            as_json=options.json,
            manners=manners,
        )

    return anyio.run(call, backend_options={"use_uvloop": True})


async def place(  # noqa: PLR0913 - the command's options
    url: str,
    files: Sequence[Path],
    *,
    profile: str | None = None,
    token: str | None = None,
    out: Path | None = None,
    as_json: bool = False,
    manners: Manners | None = None,
) -> int:
    """Call an agent, print what is said as it comes, then the timelines; return the exit code.

    Raises:
        NotPossible: see ``agent.caller.place``.
    """
    console = Console(stderr=as_json, highlight=False)
    printer = _Printer(console)
    result = await caller.place(
        _checked(url),
        files,
        profile=profile,
        token=token,
        out=out,
        on_message=printer.show,
        manners=manners,
    )
    _sum_up(console, result)
    if as_json:
        Console(highlight=False, soft_wrap=True).print_json(json.dumps(result.to_dict()))
    return FAILED if result.failures else 0


def _checked(url: str) -> str:
    wrong = NotPossible(f"{url!r} is no address of an agent; write http://HOST:PORT.")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:  # brackets that do not close, a port that is none
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


class _Printer:
    """Prints the agent's messages as they come."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name = "agent"
        self._reply = -1

    def show(self, message: ToPage) -> None:
        match message:
            case Welcome():
                self._name = message.name
                self._print(f"connected to {message.name} ({message.profile})", "dim")
            case Heard(final=True):
                self._print(f"   caller: {message.text}", "bold")
            case Heard():
                self._print(f"        …  {message.text}", "dim")
            case Reply():
                self._print(f"{self._name:>9}: {message.text.strip()}", "cyan")
            case ReplyEnd(interrupted=True):
                self._print(f"           interrupted; heard: {message.heard}", "yellow")
            case Trouble():
                self._print(f"  trouble: {message.sentence}", "red")
            case Bye():
                self._print(f"the agent hung up: {message.reason}", "dim")
            case _:
                pass

    def _print(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style))


def _sum_up(console: Console, result: CallResult) -> None:
    console.print(table(result.turns))
    exact = result.exactness
    clock = "unknown" if exact.clock_ms is None else f"±{exact.clock_ms:.2f} ms"
    console.print(
        f"clock {clock}, frames sent {exact.send_jitter_p50_ms:.1f} ms late at the median,"
        f" {exact.send_jitter_p95_ms:.1f} at p95; {exact.missing_packets} packets missing;"
        f" connected in {result.connect_ms:.0f} ms",
        style="dim",
    )
    if result.recording:
        console.print(Text(f"recorded in {result.recording} (left: caller, right: reply)", "dim"))
    for failure in result.failures:
        console.print(Text(failure, "bold red"))


def table(turns: Sequence[TurnResult]) -> Table:
    """Return a table: a turn a row, its spans as columns, what the caller measured as the last."""
    names: dict[str, None] = {}
    for turn in turns:
        names.update(dict.fromkeys(_spans(turn)))
    table = Table(
        title="Where the wait went (ms)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,  # all spans of ten seconds fit 80 columns, and no figure is cut
        pad_edge=False,
    )
    for name in ("turn", *names, "sum", "heard"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, turn in enumerate(turns, start=1):
        spans, record = _spans(turn), turn.timeline or {}
        cells = [_shown(spans.get(name)) for name in names]
        total = _shown(record.get("first_response_ms"))
        table.add_row(str(number), *cells, total, _shown(turn.heard_ms))
    return table


def _spans(turn: TurnResult) -> dict[str, float]:
    record = turn.timeline or {}
    spans = {str(name): float(ms) for name, ms in record.get("spans", [])}
    if spans:
        spans.setdefault("residual", 0.0)  # shown even when there is none
    return spans


def _shown(milliseconds: object) -> str:
    return f"{milliseconds:.0f}" if isinstance(milliseconds, int | float) else "-"
