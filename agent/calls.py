"""The house of calls: admits them, knows them by name and session, and ends them in time."""

from __future__ import annotations

import logging
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import anyio
from anyio.abc import TaskGroup

from agent.call import Call
from agent.desk import CallInfo
from agent.engines import Engines, Stages, open_engines
from agent.errors import CallRefused, ProfileError
from agent.memory.keeper import Memories, open_memories
from agent.metrics import Metrics
from agent.observe import OverheardLine, Watchers
from agent.profile import Profile
from agent.roster import Roster, same
from agent.server import Started
from agent.spans import Spans, open_spans
from agent.timeline import TurnRecord
from agent.toolbox.mcp import McpServers, open_mcp
from agent.toolbox.tool import Broker
from agent.trace import Traces, open_traces
from agent.webrtc import IceSettings, WebRtcLine, answer
from stages.errors import StageError, UserError
from stages.models import ModelStore

_log = logging.getLogger(__name__)

BUSY_S = 30
"""Seconds after which a refused caller is told to try again: a short call's length."""


@dataclass(eq=False)
class CallHouse:
    """Every call of a server."""

    limit: int
    default_profile: str
    ice: IceSettings
    engines: Engines
    traces: Traces
    _tasks: TaskGroup
    spans: Spans | None = None
    metrics: Metrics = field(default_factory=Metrics)
    watchers: Watchers = field(default_factory=Watchers)
    roster: Roster = field(default_factory=Roster)
    broker: Broker | None = None  # that tools may ask
    servers: McpServers | None = None  # of MCP, whose tools there are
    memories: Memories | None = None  # of known callers
    _calls: dict[str, Call] = field(default_factory=dict)
    _lines: dict[str, list[WebRtcLine]] = field(default_factory=dict)  # by call, old ones too
    _since: dict[str, str] = field(default_factory=dict)  # by call: wall clock, ISO 8601
    _muted: set[str] = field(default_factory=set)  # names of calls
    _dropped: Counter[str] = field(default_factory=Counter)  # of calls that are over
    _coming: int = 0  # calls that are being set up
    _closing: bool = False
    _empty: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.metrics.watch(self)
        self.metrics.watch_stages(self.engines.figures)

    @property
    def count(self) -> int:
        """Calls under way."""
        return len(self._calls) + self._coming

    def queues(self) -> Mapping[str, int]:
        """Items that wait now, by queue, of all calls."""
        waiting = Counter({"audio": 0, "inbox": 0, "outbox": 0, "records": self.traces.waiting})
        waiting["answers"] = self.engines.crowd.waiting  # callers who wait for one
        for lines in self._lines.values():
            waiting.update(lines[-1].waiting)
        return waiting

    def dropped(self) -> Mapping[str, int]:
        """Items that were thrown away so far, of all calls there were."""
        gone = Counter({"audio": 0, "inbox": 0, "outbox": 0, "guesses": 0, "readings": 0})
        gone.update(self._dropped)
        for lines in self._lines.values():
            for line in lines:
                gone.update(line.dropped)
        gone.update(records=self.traces.dropped + self.traces.lost)
        if self.memories is not None:
            gone.update(memories=self.memories.dropped + self.memories.lost)
        gone.update(self.engines.crowd.passed_over)
        return gone

    async def start(self, offer_sdp: str, profile_id: str | None, session: str | None) -> Started:
        """Answer an offer: begin a call, or go on with the one of that session.

        Raises:
            CallRefused: no room, no such session, no such profile, an SDP that is none.
        """
        try:
            return await self._start(offer_sdp, profile_id, session)
        except CallRefused as refused:
            self.metrics.call_refused(refused.status)
            raise

    async def _start(self, offer_sdp: str, profile_id: str | None, session: str | None) -> Started:
        if session is not None:
            return await self._again(offer_sdp, session)
        if why := self._no_room():
            raise CallRefused(503, why, BUSY_S)
        self._coming += 1
        try:
            return await self._begin(offer_sdp, profile_id or self.default_profile)
        finally:
            self._coming -= 1

    async def hang_up(self, call: str) -> bool:
        """End a call; false when there is none of that name."""
        if call not in self._calls:
            return False
        await self._calls[call].hang_up("hung up")
        return True

    def calls(self) -> list[CallInfo]:
        """Return the calls under way, oldest first."""
        return [
            CallInfo(
                call=name,
                profile=call.profile.id,
                name=call.profile.name,
                started_at=self._since[name],
                muted=name in self._muted,
            )
            for name, call in self._calls.items()
        ]

    def say(self, call: str, text: str) -> None:
        """Have the character say a text as soon as nobody has the word.

        Raises:
            CallRefused: 404 no such call; 429 too many texts wait already.
        """
        if not self._call(call).say(text):
            raise CallRefused(429, "Too many texts wait to be said in this call.", 5)

    def mute(self, call: str, muted: bool) -> None:
        """Let the call hear silence instead of the caller, or the caller again.

        Raises:
            CallRefused: 404 no such call.
        """
        name = self._call(call).name
        if muted:
            self._muted.add(name)
        else:
            self._muted.discard(name)

    async def switch(self, call: str, profile: str) -> None:
        """Go on as another character, at the next clause.

        Raises:
            CallRefused: 404 no such call; 400 no such profile; 503 its stages cannot be opened.
        """
        await self._call(call).switch(profile)

    async def drain(self, deadline_s: float) -> None:
        """Take no more calls; let the running replies end, then the calls, by the deadline."""
        self._closing = True
        with anyio.move_on_after(deadline_s):
            async with anyio.create_task_group() as tasks:
                for call in list(self._calls.values()):
                    tasks.start_soon(call.drain)
            while self._calls:
                self._empty = anyio.Event()
                await self._empty.wait()

    async def warm(self, profile: Profile) -> None:
        """Open a profile's stages before the first call asks for them."""
        await self.engines.stages(profile)

    async def _begin(self, offer_sdp: str, profile_id: str) -> Started:
        profile, stages = await self._cast(profile_id)
        line, answer_sdp = await answer(offer_sdp, self.ice)
        secret = secrets.token_urlsafe(24)
        call = Call(_name(), secret, profile, stages, self._keep, cast=self._cast)
        call.blame, call.late = self.metrics.trouble, self.metrics.loop.between
        call.broker, call.servers, call.memories = self.broker, self.servers, self.memories
        self._calls[call.name], self._lines[call.name] = call, [line]
        self._since[call.name] = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.metrics.call_begun()
        self._tasks.start_soon(self._run, call, line)
        return Started(call.name, call.session, answer_sdp)

    async def _cast(self, profile_id: str) -> tuple[Profile, Stages]:
        """Find a character and open its stages."""
        try:
            profile = self.roster.get(profile_id)
            if self.servers is not None:
                await self.servers.connect(profile.tools)
            return profile, await self.engines.stages(profile)
        except ProfileError as error:
            raise CallRefused(400, error.reason) from error  # a page need not know our folders
        except (UserError, StageError) as error:
            raise CallRefused(503, str(error)) from error

    async def recast(self) -> None:
        """Bring running calls up to profiles that were saved meanwhile; at their next clause."""
        for call in list(self._calls.values()):
            known = call.profile
            try:
                profile, stages = await self._cast(known.id)
            except CallRefused as refused:
                call.tell(f"The new version of {known.name} cannot be used: {refused}")
                continue
            why = self.roster.why_stale(known.id)
            if why:
                call.tell(f"The new version of {known.name} cannot be used: {why}")
            elif call.profile is known and not same(profile, known):
                call.become(profile, stages)

    def _call(self, name: str) -> Call:
        if name not in self._calls:
            raise CallRefused(404, "There is no such call; it may be over already.")
        return self._calls[name]

    def _overheard(self, call: str, line: WebRtcLine) -> OverheardLine:
        return OverheardLine(call, line, self.watchers, lambda: call in self._muted)

    async def _again(self, offer_sdp: str, session: str) -> Started:
        for call in self._calls.values():
            if secrets.compare_digest(call.session, session):
                line, answer_sdp = await answer(offer_sdp, self.ice)
                self._lines[call.name].append(line)
                await call.connect(self._overheard(call.name, line))
                return Started(call.name, call.session, answer_sdp)
        raise CallRefused(404, "That call is over; start a new one.")

    async def _run(self, call: Call, line: WebRtcLine) -> None:
        self.watchers.call_started(call.name, call.profile.id, call.profile.name)
        try:
            await call.run(self._overheard(call.name, line))
        except Exception:  # noqa: BLE001 - it is logged whole, and must not end the others
            _log.exception("call %s ended by a fault of ours; the others go on", call.name)
        finally:
            del self._calls[call.name], self._since[call.name]
            self._muted.discard(call.name)
            self.watchers.call_ended(call.name)
            for old in self._lines.pop(call.name):
                self._dropped.update(old.dropped)
            if not self._calls:
                self._empty.set()

    def _keep(self, record: TurnRecord) -> None:
        self.traces.put(record)
        self.metrics.turn(record)
        self.watchers.turn(record)
        if self.spans is not None:
            self.spans.turn(record)

    def _no_room(self) -> str:
        """Return why no call can be taken; empty: one can."""
        if self._closing:
            return "The server is stopping; try again in a while."
        if self.count >= self.limit:
            return f"All {self.limit} lines are busy; try again in a while."
        full = self.engines.crowd.why_full(monotonic())
        return full and f"{full} Try again in a while."


def _name() -> str:
    return secrets.token_hex(6)


@asynccontextmanager
async def open_calls(
    *,
    limit: int,
    default_profile: str,
    ice: IceSettings,
    models: Path | None = None,
    traces: Path | None = None,
) -> AsyncIterator[CallHouse]:
    """Open a house of calls; leaving the block ends whatever is still going on in it."""
    async with (
        open_traces(traces) as kept,
        open_spans() as spans,
        open_engines(ModelStore(models)) as engines,
        open_mcp() as servers,
        open_memories() as memories,
        anyio.create_task_group() as tasks,
    ):
        house = CallHouse(limit, default_profile, ice, engines, kept, tasks, spans)
        tasks.start_soon(house.metrics.loop.run)
        house.servers, house.memories = servers, memories
        tasks.start_soon(house.roster.watch, house.recast)
        yield house
        tasks.cancel_scope.cancel()
