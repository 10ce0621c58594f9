"""Does what a command asks, and says what became of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from agent.desk import Desk
from agent.errors import CallRefused
from agent.mqtt.shapes import (
    Answer,
    Command,
    HangUpCommand,
    MuteCommand,
    SayCommand,
    StateCommand,
    SwitchCommand,
    read_command,
)

WITHIN_S = 30.0
"""How long a command may take; a character's models may have to be loaded."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Commands:
    """Reads commands and has them done.

    Args:
        desk: does them.
        publish: publishes every retained topic again.
    """

    desk: Desk
    publish: Callable[[], None]

    async def do(self, name: str, payload: bytes, *, retained: bool = False) -> Answer:
        """Do one command, within ``WITHIN_S``; whatever is wrong is said in the answer."""
        name = name[:64]
        if retained:  # it would be done again with every connection
            sentence = "A retained command is not done; publish it without the retain flag."
            return Answer(id=None, command=name, ok=False, error=sentence)
        try:
            command = read_command(name, payload)
        except ValueError as error:
            return Answer(id=None, command=name, ok=False, error=str(error))
        try:
            with anyio.fail_after(WITHIN_S):
                call = await self._do(command)
        except CallRefused as error:
            return self._failed(name, command, str(error))
        except TimeoutError:
            return self._failed(name, command, f"It was not done within {WITHIN_S:g} s.")
        except Exception:  # noqa: BLE001  # logged; the next command shall be read
            _log.exception("the command %s failed", name)
            return self._failed(name, command, "The agent failed to do it; its log says why.")
        return Answer(id=command.id, command=name, ok=True, call=call)

    def _failed(self, name: str, command: Command, sentence: str) -> Answer:
        return Answer(id=command.id, command=name, ok=False, call=command.call, error=sentence)

    async def _do(self, command: Command) -> str | None:
        if isinstance(command, StateCommand):
            self.publish()
            return None
        call = command.call or self._newest()
        match command:
            case SayCommand():
                self.desk.say(call, command.text)
            case MuteCommand():
                self.desk.mute(call, command.muted)
            case SwitchCommand():
                await self.desk.switch(call, command.profile)
            case HangUpCommand():
                if not await self.desk.hang_up(call):
                    raise CallRefused(404, "There is no such call; it may be over already.")
        return call

    def _newest(self) -> str:
        calls = self.desk.calls()
        if not calls:
            raise CallRefused(404, "There is no call under way.")
        return calls[-1].call
