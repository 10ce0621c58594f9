"""Voices made known while the agent serves, by the network that its profile listens with."""

from __future__ import annotations

from dataclasses import dataclass, field

from anyio import to_thread

from agent.engines import Engines
from agent.errors import NotPossible
from agent.prints import VoicePrint
from agent.profile import Profile
from agent.recordings import recording
from agent.speakers import Clip, SpeakerBook, print_of


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Makes prints of recordings, and keeps them. Its file work is done in threads."""

    engines: Engines
    profile: Profile
    book: SpeakerBook = field(default_factory=SpeakerBook)

    @property
    def why_not(self) -> str:
        """Say why no voice can be made known, or nothing where one can."""
        if self.profile.speakers is not None:
            return ""
        return f"{self.profile.name} tells no voices apart: its profile has no section 'speakers'."

    async def names(self) -> list[VoicePrint]:
        """Return who is known.

        Raises:
            NotPossible: the prints cannot be read.
        """
        return list(await to_thread.run_sync(self.book.read))

    async def enrol(self, name: str, clips: list[tuple[str, bytes]]) -> VoicePrint:
        """Make a print of recordings and keep it.

        Raises:
            NotPossible: a recording is not good enough, or the character knows no voices.
        """
        company = (await self.engines.stages(self.profile)).company
        if company is None:
            raise NotPossible(self.why_not)
        heard = [
            Clip(called, await to_thread.run_sync(recording, content, called))
            for called, content in clips
        ]
        made = await print_of(company.stage, name, heard)
        await to_thread.run_sync(self.book.put, made)
        return made

    async def forget(self, name: str) -> bool:
        """Remove everything of a person; false if nobody of that name is known."""
        return bool(await to_thread.run_sync(self.book.forget, name))
