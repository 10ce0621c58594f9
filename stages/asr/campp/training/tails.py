"""Files that grow line by line, and may have been torn off in the middle of one."""

from __future__ import annotations

import os
from pathlib import Path

from stages.errors import UserError


class NotWritten(UserError):
    """The disk took no more of something that the next run can go on with."""

    def __init__(self, file: Path, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(
            f"{file} could not be written ({reason})."
            " Make room and run the same command again: what was done before is not done again."
        )


def whole_lines(file: Path) -> int:
    """Cut off what a kill or a full disk left of a last line; return how many whole ones there are.

    A file that is not there has none.

    Raises:
        OSError: it cannot be read, or not be cut.
    """
    if not file.exists():
        return 0
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(file, whole)
    return content.count(b"\n")
