"""The command ``firstword``."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

# Before numpy is imported anywhere: one thread a matrix product. Its helpers would fight the
# recogniser and the voice for the same cores (feature extraction measured 33 ms against 5 ms).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from agent.commands.said import drop_output
from stages.errors import FirstWordError, UserError, the_one

COMMANDS = {
    "demo": "start an agent, call it with recorded speech, show where the time went",
    "serve": "serve the page that callers call from, and answer their calls",
    "call": "call an agent that runs already, with recorded speech",
    "turns": "list the latest turns and where the time of each went",
    "report": "show where the time of many turns went; compare two runs",
    "profiles": "list, show, check and make profiles: who can be called",
    "models": "list, pull, verify and remove models",
    "speaker": "make voices known, list and forget them, measure how they are told apart",
    "memory": "show, export and forget what is remembered of known callers",
    "broker": "run an MQTT broker, for those who have none",
    "asr": "make, import, train and measure models of our recogniser, campp",
    "bench": "measure how soon, how well and how many callers this machine answers",
}
"""Name to one line of help; each is a module of ``agent.commands`` with ``add`` and ``run``."""

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 2 something to put right, 1 a failure of ours."""
    _open_streams()
    try:
        code = run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # another, on the way out
        code = INTERRUPTED
    if code == INTERRUPTED:
        _leave_at_once(code)
    sys.exit(code)


def _leave_at_once(code: int) -> NoReturn:
    """Exit without waiting for threads: after a second Ctrl-C nobody ends those of anyio."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)


def _open_streams() -> None:
    """Give streams that were closed before we began to /dev/null, and not to what is opened next.

    That might be a socket, which would then be printed to.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:  # also in the second that importing may take
        return INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    debug = False
    try:
        options = _parser(arguments).parse_args(arguments)
        debug = options.debug
        _log_as(debug=debug)
        return int(importlib.import_module(f"agent.commands.{options.command}").run(options) or 0)
    except BrokenPipeError:
        return _no_reader()
    except OSError as error:  # a full disk, a folder that may not be written
        if debug:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(f"firstword: {place}{error.strerror or error}.", file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    except (FirstWordError, BaseExceptionGroup) as error:
        ours = the_one(error)
        if ours is None or debug:
            raise
        print(f"firstword: {ours}", file=sys.stderr)  # noqa: T201
        return BAD_INPUT if isinstance(ours, UserError) else FAILED


def _log_as(*, debug: bool) -> None:
    """Log to standard error: everything, or only what went wrong."""
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for name in ("aiortc", "aioice"):  # what they say below INFO holds the keys of the media
        logging.getLogger(name).setLevel(logging.INFO if debug else logging.WARNING)


def _no_reader() -> int:
    """End quietly: who read our output has gone, as ``head`` does once it has enough."""
    drop_output()
    return FAILED


class _Version(argparse.Action):
    """Looks the version up only where somebody asks for it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"firstword {version('firstword')}")  # noqa: T201
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """A command's parser, and those of its verbs: each knows ``--debug``.

    Each says itself what it does not know. argparse leaves that to the outermost parser, whose
    usage does not help.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,  # else a verb's would take the place of its command's
            help="show tracebacks and a full log",
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="firstword",
        description="A voice agent you can call from a browser.",
        epilog="Begin with: firstword serve. What a command takes: firstword COMMAND --help",
    )
    parser.set_defaults(debug=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    chosen = next((word for word in arguments if word in COMMANDS), None)
    for name, help_text in COMMANDS.items():
        command = commands.add_parser(name, help=help_text, description=help_text)
        if name == chosen:  # only the command that runs is imported: --help stays instant
            importlib.import_module(f"agent.commands.{name}").add(command)
    return parser


if __name__ == "__main__":
    main()
