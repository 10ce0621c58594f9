"""What may be done to calls from outside: by the HTTP API, by MQTT, by whoever comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class CallInfo:
    """A call under way, as operators see it: nothing that anybody said."""

    call: str
    profile: str
    name: str  # of the character
    started_at: str  # wall clock, ISO 8601
    muted: bool


class Desk(Protocol):
    """Does what operators ask. Each raises ``CallRefused``, with a sentence, when it cannot."""

    def calls(self) -> list[CallInfo]:
        """Return the calls under way, oldest first."""

    def say(self, call: str, text: str) -> None:
        """Have the character say a text as soon as nobody has the word.

        Raises:
            CallRefused: 404 no such call; 429 too many texts wait already.
        """

    def mute(self, call: str, muted: bool) -> None:
        """Let the call hear silence instead of the caller, or the caller again.

        Raises:
            CallRefused: 404 no such call.
        """

    async def switch(self, call: str, profile: str) -> None:
        """Go on as another character: voice and persona together, at the next clause.

        Raises:
            CallRefused: 404 no such call; 400 no such profile; 503 its stages cannot be opened.
        """

    async def hang_up(self, call: str) -> bool:
        """End a call; false when there is none of that name."""
