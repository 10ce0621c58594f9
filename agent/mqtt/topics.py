"""The names of topics: ``firstword/v1/NAME/…``."""

from __future__ import annotations

from dataclasses import dataclass

from agent.mqtt.shapes import VERSION

ONLINE, OFFLINE = "online", "offline"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one agent."""

    name: str

    @property
    def base(self) -> str:
        """What they all begin with."""
        return f"firstword/v{VERSION}/{self.name}"

    @property
    def status(self) -> str:
        """``online`` or ``offline``, retained; the broker says ``offline`` for us if we cannot."""
        return self.of("status")

    @property
    def commands(self) -> str:
        """The filter for every command."""
        return self.of("command/#")

    @property
    def answer(self) -> str:
        """What became of commands."""
        return self.of("answer")

    def of(self, what: str) -> str:
        """Return one topic."""
        return f"{self.base}/{what}"

    def command(self, topic: str) -> str:
        """Return the name of the command that a topic asks for."""
        return topic.removeprefix(self.of("command/"))
