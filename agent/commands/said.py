"""What a server says on standard output: it does not depend on anybody who takes it."""

from __future__ import annotations

import logging
import os
import sys

_log = logging.getLogger(__name__)


def say(sentence: str) -> None:
    """Print a sentence; where nobody reads it, or the disk is full, warn of that and go on."""
    try:
        print(sentence, flush=True)  # noqa: T201
    except OSError as error:
        drop_output()
        _log.warning("%s; but standard output does not take this: %s", sentence, error.strerror)


def drop_output() -> None:
    """Let what is printed go nowhere from now on: else the exit would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
