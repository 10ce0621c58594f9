"""How far a reply is made as long as it is a guess: so many tokens are read, and a clause said."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from agent.text.signs import weight

ENOUGH = 1.0
"""What is said of a guess, in units of "enough to begin" (about a second of speech): its first
clause, and more only where that is shorter ("Yes."), as the next one shall be there in time."""


@dataclass(eq=False)
class Guess:
    """Holds back the making of a reply until its turn is certainly over.

    The LLM and the voice are made to wait, not stopped: once the reply is due they go on at once.

    Args:
        tokens: pieces of text that are read from the LLM before, at most.
    """

    tokens: int
    sure: anyio.Event = field(default_factory=anyio.Event)
    _read: int = 0
    _said: float = 0.0

    async def may_read(self) -> None:
        """Wait, if enough was read for a guess, until it is none any more."""
        if self._read >= self.tokens:
            await self.sure.wait()

    def read(self) -> None:
        """Count a piece of text that came from the LLM."""
        self._read += 1

    async def may_say(self) -> None:
        """Wait, if enough is said for a guess, until it is none any more."""
        if self._said >= ENOUGH:
            await self.sure.wait()

    def said(self, text: str) -> None:
        """Count a clause that a voice was given."""
        self._said += weight(text)


def certain() -> Guess:
    """Return the guess that is none: nothing holds the reply back."""
    guess = Guess(0)
    guess.sure.set()
    return guess
