"""The agent's branch of the tree of errors in ``stages.errors``.

UserError
├── ProfileError      a profile that cannot be used: file, line, field, what is allowed
├── NotPossible       a command that cannot do what it was asked: broken wav, port in use …
└── CallRefused       a call that the server does not take; carries the HTTP status
"""

from __future__ import annotations

from stages.errors import UserError


class ProfileError(UserError):
    """A profile cannot be used."""

    def __init__(self, reason: str, file: str = "", line: int | None = None) -> None:
        self.file, self.line, self.reason = file, line, reason
        place = f"{file}:{line}: " if line else f"{file}: " if file else ""
        super().__init__(place + reason)


class NotPossible(UserError):
    """A command cannot do what it was asked, and says why."""


class CallRefused(UserError):
    """The server does not take this call."""

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        self.status, self.retry_after = status, retry_after
        super().__init__(sentence)
