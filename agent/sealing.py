"""The key under which voices and memories are kept, and files that only their owner reads."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from agent.errors import NotPossible

KEY = "FIRSTWORD_SPEAKER_KEY"
"""Environment variable: the key, where it is not to lie in a file beside what it opens."""


@dataclass(frozen=True, slots=True)
class Key:
    """The key of a state folder.

    Args:
        folder: where its file lies, unless the environment holds it.
    """

    folder: Path

    @property
    def file(self) -> Path:
        """Where it lies unless the environment holds it."""
        return self.folder / "speakers.key"

    def get(self) -> bytes | None:
        """Return the key; none where none was ever made.

        Raises:
            NotPossible: its file cannot be read, or what is there is no key.
        """
        given = os.environ.get(KEY)
        try:
            key = given.encode() if given else self.file.read_bytes().strip()
            Fernet(key)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NotPossible(f"{self.file} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            where = KEY if given else self.file
            raise NotPossible(
                f"{where} holds no key: it is 32 random bytes in URL-safe base64, as python -c"
                " 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())'"
                " prints."
            ) from error
        return key

    def make(self) -> bytes:
        """Make a key and keep it.

        Raises:
            OSError: it cannot be written.
        """
        key = Fernet.generate_key()
        write_private(self.file, key)
        return key


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    fresh = file.with_name(f".new-{secrets.token_hex(8)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
        os.replace(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)
