"""The agent's side of ``firstword bench media``, in a process of its own, pinned to one core.

It speaks JSON lines: ``{"do": "call", "sdp", "load"}`` is answered with ``{"sdp"}``,
``{"do": "begin"}`` starts a measurement, ``{"do": "report"}`` is answered with its figures; at
the end of input it closes all calls. Times are seconds of the monotonic clock, which processes
of one Linux machine share.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import anyio
import numpy as np
from anyio.abc import TaskGroup

from agent.line import FRAME, PLAYOUT_RATE
from agent.messages import Say
from agent.webrtc import IceSettings, WebRtcLine, answer
from stages.audio import silence
from stages.events import Samples

LOUD = 0.05
TONE: Samples = (0.3 * np.sin(2 * np.pi * 500 * np.arange(FRAME) / PLAYOUT_RATE)).astype(np.float32)
"""A frame of 500 Hz: whole periods, so frames join without a click."""


@dataclass(eq=False)
class _Probed:
    """A call: always talking (a load), or talking when told to (a probe)."""

    line: WebRtcLine
    load: bool
    talking: bool = False
    onsets: list[float] = field(default_factory=list)  # a loud frame after silence was in hand
    played: list[float] = field(default_factory=list)  # the first loud frame was pulled
    flushed: list[float] = field(default_factory=list)  # talking was stopped
    _loud: bool = False
    _sounding: bool = False

    async def run(self) -> None:
        self.talking = self.load
        self.line.play(self._pull)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.line.run)
            tasks.start_soon(self._listen)
            async for word in self.line.inbox:
                if isinstance(word, Say):
                    self._obey(word.text)

    async def _listen(self) -> None:
        async for audio in self.line.audio:
            loud = float(np.abs(audio.samples).max(initial=0.0)) > LOUD
            if loud and not self._loud:
                self.onsets.append(time.monotonic())
            self._loud = loud

    def _obey(self, text: str) -> None:
        self.talking = text == "talk"
        if not self.talking:
            self.flushed.append(time.monotonic())

    def _pull(self) -> Samples:
        if self.talking and not self._sounding:
            self.played.append(time.monotonic())
        self._sounding = self.talking
        return TONE if self.talking else silence(FRAME)


@dataclass(eq=False)
class _Server:
    tasks: TaskGroup
    calls: list[_Probed] = field(default_factory=list)
    _begun: tuple[float, float] = (0.0, 0.0)
    _packets: int = 0

    async def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        if order["do"] == "call":
            line, sdp = await answer(order["sdp"], IceSettings())
            self.calls.append(_Probed(line, bool(order["load"])))
            self.tasks.start_soon(self.calls[-1].run)
            return {"sdp": sdp}
        if order["do"] == "begin":
            for call in self.calls:
                call.line.track.lateness.clear()
            self._packets = self._received()
            self._begun = (time.monotonic(), time.process_time())
            return {}
        return self._report()

    def _received(self) -> int:
        return sum(call.line.receiver.packets for call in self.calls)

    def _report(self) -> dict[str, Any]:
        seconds = time.monotonic() - self._begun[0]
        probe = self.calls[0]
        return {
            "seconds": seconds,
            "cpu": (time.process_time() - self._begun[1]) / seconds,
            "lateness": [late for call in self.calls for late in call.line.track.lateness],
            "packets": self._received() - self._packets,
            "onsets": probe.onsets,
            "played": probe.played,
            "flushed": probe.flushed,
        }

    async def close(self) -> None:
        for call in self.calls:
            await call.line.close("the measurement is over")


async def _serve() -> None:
    async with anyio.create_task_group() as tasks:
        server = _Server(tasks)
        async for order in anyio.wrap_file(sys.stdin):
            told = await server.obey(json.loads(order))
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
        await server.close()
        tasks.cancel_scope.cancel()


def main() -> None:
    """Serve until the end of input, on the core that the first argument names, if there is one."""
    if len(sys.argv) > 1:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    anyio.run(_serve, backend_options={"use_uvloop": True})


if __name__ == "__main__":
    main()
