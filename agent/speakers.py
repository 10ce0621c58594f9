"""Who is known by voice: prints kept encrypted, or not at all."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from anyio import to_thread
from cryptography.fernet import Fernet, InvalidToken

from agent.errors import NotPossible
from agent.memory.store import MemoryBook
from agent.prints import (
    TOTAL_S,
    VoicePrint,
    check_clip,
    check_together,
    check_voices,
    mean,
    pieces,
    spoken,
)
from agent.sealing import Key, write_private
from agent.trace import state_folder
from stages.audio import milliseconds_in
from stages.contracts import Speaker
from stages.events import Samples

NAME = re.compile(r"[^\x00-\x1f/\\]{1,60}")
MOST = 100
"""Voices that a book holds; every one is compared with every final."""
MOST_CLIPS = 20


def check_name(name: str) -> None:
    """See that a person can be known by a name.

    Raises:
        NotPossible: it is too long, or has characters that would be in the way.
    """
    if not NAME.fullmatch(name) or name != name.strip():
        raise NotPossible(
            f"{name!r} cannot be a name: up to 60 characters in one line, without slashes, and no"
            " spaces at its ends."
        )


class UnreadableBook(NotPossible):
    """The prints cannot be decrypted: they were changed, or the key was."""

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__(
            f"The voice prints in {file} cannot be trusted: they were changed, or belong to another"
            " key. Nothing of them is used. Bring the old key back, or begin anew with: firstword"
            " speaker forget --all"
        )


class SpeakerBook:
    """The prints of a machine, in one encrypted file that is written whole or not at all.

    The file is sealed (encrypted and signed), so that a change of any byte is noticed.

    Args:
        folder: where it lies; the state folder if not given.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or state_folder()
        self.file = self.folder / "speakers.sealed"
        self._key, self._memories = Key(self.folder), MemoryBook(self.folder)

    @property
    def key_file(self) -> Path:
        """Where the key lies unless the environment holds it."""
        return self._key.file

    def read(self) -> tuple[VoicePrint, ...]:
        """Return every print; none where nobody was enrolled.

        Raises:
            UnreadableBook: it was changed, or the key is another one.
        """
        try:
            sealed = self.file.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise NotPossible(f"{self.file} cannot be read: {error.strerror}.") from error
        key = self._key.get()
        try:
            entries = json.loads(Fernet(key).decrypt(sealed)) if key else None
            return tuple(_entry(entry) for entry in entries)  # type: ignore[union-attr]
        except (InvalidToken, ValueError, TypeError, KeyError) as error:
            raise UnreadableBook(self.file) from error

    def put(self, print_: VoicePrint) -> None:
        """Keep a print; one of the same name and model is replaced.

        Raises:
            NotPossible: a name that cannot be, no room, a file that cannot be written.
        """
        check_name(print_.name)
        kept = [one for one in self.read() if (one.name, one.model) != (print_.name, print_.model)]
        if len(kept) >= MOST:
            raise NotPossible(f"{MOST} voices are known already; forget one first.")
        self._write([*kept, print_])

    def forget(self, name: str) -> int:
        """Remove everything of a person, memories too; return how many prints there were.

        The prints go first: of somebody who is not known, nothing new is remembered.
        """
        before = self.read()
        kept = [one for one in before if one.name != name]
        if len(kept) != len(before):
            self._write(kept)
        self._memories.forget(name)
        return len(before) - len(kept)

    def forget_all(self) -> None:
        """Remove every print and memory, readable or not, and the key beside them."""
        self.file.unlink(missing_ok=True)
        self._memories.forget_all()
        self.key_file.unlink(missing_ok=True)

    def _write(self, prints: Sequence[VoicePrint]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = self._key.get() or self._key.make()
            sealed = Fernet(key).encrypt(json.dumps([_plain(one) for one in prints]).encode())
            write_private(self.file, sealed)
        except OSError as error:
            raise NotPossible(
                f"The voice prints cannot be kept in {self.folder}: {error.strerror}."
            ) from error


def _plain(one: VoicePrint) -> dict[str, Any]:
    numbers = base64.b64encode(one.print.astype("<f4").tobytes()).decode()
    return {
        "name": one.name,
        "model": one.model,
        "print": numbers,
        "clips": one.clips,
        "seconds": one.seconds,
        "enrolled_at": one.enrolled_at,
    }


def _entry(entry: dict[str, Any]) -> VoicePrint:
    numbers = np.frombuffer(base64.b64decode(entry["print"]), dtype="<f4").astype(np.float32)
    return VoicePrint(
        entry["name"], entry["model"], numbers, entry["clips"], entry["seconds"],
        entry["enrolled_at"],
    )  # fmt: skip


# --- enrolment ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording for an enrolment; ``name`` is for sentences about it."""

    name: str
    samples: Samples


async def print_of(stage: Speaker, name: str, clips: Sequence[Clip]) -> VoicePrint:
    """Make a print of clips that are good enough; nothing is kept.

    Raises:
        NotPossible: a clip is short, faint, distorted, noise, or of another voice.
    """
    if not 1 <= len(clips) <= MOST_CLIPS:
        raise NotPossible(f"An enrolment takes 1 to {MOST_CLIPS} clips, not {len(clips)}.")
    prints, speeches = [], []
    for clip in clips:
        speech = await to_thread.run_sync(spoken, clip.samples)
        check_clip(clip.name, clip.samples, speech)
        parts = [await stage.embed(piece) for piece in pieces(speech)]
        check_voices(clip.name, parts, stage.threshold)
        prints.append(await stage.embed(speech))
        speeches.append(speech)
    seconds = milliseconds_in(sum(len(speech) for speech in speeches)) / 1000
    if seconds < TOTAL_S:
        raise NotPossible(
            f"All clips together have {seconds:.1f} s of speech; at least {TOTAL_S:g} s are needed."
        )
    check_together([clip.name for clip in clips], prints, stage.threshold)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return VoicePrint(name, stage.model, mean(prints), len(clips), round(seconds, 1), now)
