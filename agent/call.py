"""One call: who does what, from connect to hang-up. Every task of a call starts here.

The listening lane runs as long as the line; each reply is one task beside it. A line that is
lost ends both lanes, and the call waits a while for the caller to come back on a new one.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from agent.blame import blamed, first_sentence
from agent.company import Voices
from agent.engines import Stages
from agent.errors import CallRefused, ProfileError
from agent.history import History
from agent.line import Line
from agent.listen import Ears
from agent.memory.keeper import Memories
from agent.memory.recall import Recall
from agent.messages import (
    HangUp,
    HeardReply,
    Say,
    Silenced,
    Switch,
    Switched,
    Trouble,
    Welcome,
)
from agent.profile import Profile
from agent.replies import Replies
from agent.timeline import Lateness, TurnRecord
from agent.toolbox.belt import Belt, open_belt
from agent.toolbox.mcp import McpServers
from agent.toolbox.tool import Broker
from agent.turn import Turns
from stages.contracts import Sink, Source
from stages.errors import StageError, Transient
from stages.events import AsrInput, Audio, Transcript, VadFrame

_log = logging.getLogger(__name__)

COME_BACK_S = 30.0
"""How long a lost caller may take to come back."""
CLOSE_S = 3.0
"""How long letting go of a line may take; a line's own deadline is shorter."""
BEHIND = 1_600
"""Pieces of audio (20 to 32 ms) that ASR may be behind; one that is further behind has stopped."""
LOST = 2
"""Failures of a recogniser in a row, with nothing said between, that a caller is asked to bear."""
TO_SAY = 16
"""Texts from outside that may wait for a moment in which nobody has the word."""


@dataclass(eq=False)
class Call:
    """A caller and a character.

    Args:
        keep: takes the record of every turn; never waits.
        come_back_s: how long a lost caller may take to come back.
        cast: finds a character by its id and opens its stages; raises ``CallRefused``.
        broker: the MQTT broker that tools may ask, if there is one.
        servers: the MCP servers whose tools there are.
        memories: what is remembered of known callers, if anything may be.
        blame: told the sentence of each failure of a stage that listens; the record of a turn
            tells of those that speak.
        late: tells how late the event loop was between two moments; for the records.
    """

    name: str
    session: str
    profile: Profile
    stages: Stages
    keep: Callable[[TurnRecord], None]
    come_back_s: float = COME_BACK_S
    cast: Callable[[str], Awaitable[tuple[Profile, Stages]]] | None = None
    line: Line | None = None
    broker: Broker | None = None
    servers: McpServers | None = None
    memories: Memories | None = None
    blame: Callable[[str], None] = lambda sentence: None
    late: Callable[[float, float], Lateness | None] = lambda begin, end: None
    _turn: int = 1
    _reply: int = 1
    _over: bool = False
    _next: anyio.Event = field(default_factory=anyio.Event)  # a line has come, or none will
    _rest: anyio.Event = field(default_factory=anyio.Event)  # no turn is under way
    _to_say: deque[str] = field(default_factory=deque)
    _later: list[tuple[float, str]] = field(default_factory=list)  # when, on the loop's clock
    _ends: bool = False  # hang up at the next rest
    _ears_now: Ears | None = None
    _casting: anyio.Lock = field(default_factory=anyio.Lock)
    _hearing: anyio.CancelScope = field(default_factory=anyio.CancelScope)  # of the ASR that runs
    _hears_anew: bool = False  # another ASR is wanted, at the next rest
    _lost: tuple[int, int] = (0, 0)  # how much was said, and how often ASR failed since

    def __post_init__(self) -> None:
        self.history = History(self.profile.opening())
        self.turns = Turns(self.profile.turn.settings)

    async def run(self, line: Line) -> None:
        """Talk until the caller hangs up, or does not come back. Cancelling hangs up."""
        try:
            await self.connect(line)
            while (newest := await self._next_line()) is not None:
                await self._talk(newest)
        finally:
            self._over = True
            if self.memories is not None:
                self.memories.call_over(self.name)

    async def connect(self, line: Line) -> None:
        """Go on with this call on a new line; the old one, if it still stands, is closed."""
        if self._over:
            await line.close("the call is over")
            return
        old, self.line = self.line, line
        self._next.set()
        if old is not None:
            await old.close("the call goes on elsewhere")

    async def hang_up(self, reason: str) -> None:
        """End the call."""
        self._over = True
        self.turns.hang_up()
        self._next.set()
        if self.line is not None:
            await self.line.close(reason)

    def say(self, text: str) -> bool:
        """Have the character say a text once nobody has the word; false if ``TO_SAY`` wait."""
        if len(self._to_say) >= TO_SAY:
            return False
        self._to_say.append(text)
        return True

    async def switch(self, profile_id: str) -> None:
        """Go on as another character: its voice from the next clause, its mind from the next turn.

        It listens with its own ASR from the next rest on; the VAD stays. Cancelled, it goes on
        as it was.

        Raises:
            CallRefused: there is no such character, or its stages cannot be opened.
        """
        if self.cast is None:
            raise CallRefused(503, "This call cannot change its character.")
        async with self._casting:
            profile, stages = await self.cast(profile_id)
            self.become(profile, stages)

    def become(self, profile: Profile, stages: Stages) -> None:
        """Go on as this character, with stages that are open."""
        hears = (self.stages.asr, self.profile.asr.hearing)
        self.profile, self.stages = profile, stages
        self._hears_anew = self._hears_anew or hears != (stages.asr, profile.asr.hearing)
        self.history.opening = profile.opening()
        if self._ears_now is not None:
            self._ears_now.switch(profile, stages)
            self._meet(self._ears_now, stages)
            self._ears_now.replies.belt = self._belt()
            self._ears_now.tasks.start_soon(self._warm)
        if self.line is not None:
            self.line.send(Switched(profile=profile.id, name=profile.name))

    def tell(self, sentence: str) -> None:
        """Show the caller a sentence about something that went wrong."""
        if self.line is not None:
            self.line.send(Trouble(sentence=sentence))

    def say_later(self, seconds: float, text: str) -> bool:
        """Say a text after a while, in this call; false if ``TO_SAY`` wait already."""
        if len(self._later) >= TO_SAY:
            return False
        self._later.append((anyio.current_time() + seconds, text))
        return True

    def end_after_reply(self) -> None:
        """Hang up once nobody has the word."""
        self._ends = True

    async def drain(self) -> None:
        """End the call once the running turn is over; the caller of this sets the deadline."""
        if self.line is not None and self.turns.busy:
            self._rest = anyio.Event()
            await self._rest.wait()
        await self.hang_up("the server is stopping")

    async def _next_line(self) -> Line | None:
        if not self._over and not self._next.is_set():
            self.line = None
            with anyio.move_on_after(self.come_back_s):
                await self._next.wait()
        self._next = anyio.Event()
        return None if self._over else self.line

    async def _talk(self, line: Line) -> None:
        """Talk on a line until it ends, and let go of it."""
        try:
            await self._lanes(line)
        except* StageError as group:
            self.blame(first_sentence(group))
            line.send(Trouble(sentence=f"The call cannot go on: {first_sentence(group)}"))
            self._over = True
        finally:
            self._turn, self._reply = self.turns.turn, self.turns.reply
            self._rest.set()
            with anyio.move_on_after(CLOSE_S, shield=True):
                await line.close("the call is over")
                await line.audio.aclose()
                await line.inbox.aclose()

    async def _lanes(self, line: Line) -> None:
        """Run both lanes until the caller is gone."""
        vad_in, frames = anyio.create_memory_object_stream[VadFrame](64)
        asr_in, utterances = anyio.create_memory_object_stream[AsrInput](BEHIND)
        word_in, words = anyio.create_memory_object_stream[Transcript](64)
        with vad_in, frames, asr_in, utterances, word_in, words:
            async with anyio.create_task_group() as tasks:
                ears = self._ears(line, tasks, asr_in)
                tasks.start_soon(line.run)
                tasks.start_soon(self._vad, line.audio, vad_in)
                tasks.start_soon(ears.frames, frames)
                tasks.start_soon(self._asr, utterances, word_in)
                tasks.start_soon(ears.words, words)
                tasks.start_soon(self._warm)
                try:
                    self._begin(line, ears)
                    await self._read(line, ears)
                finally:
                    self._ears_now = None
                    ears.turns.hang_up()
                    ears.replies.abandon()
                tasks.cancel_scope.cancel()

    async def _vad(self, source: Source[Audio], sink: Sink[VadFrame]) -> None:
        with blamed("vad"):
            await self.stages.vad.run(source, sink)

    async def _asr(
        self,
        source: MemoryObjectReceiveStream[AsrInput],
        sink: MemoryObjectSendStream[Transcript],
    ) -> None:
        """Recognise; again where another character listens, or where it failed for a moment."""
        async with source, sink:
            again = True
            while again:
                self._hears_anew, self._hearing = False, anyio.CancelScope()
                try:
                    with self._hearing as scope, blamed("asr"):
                        async with source.clone() as heard, sink.clone() as words:
                            await self.stages.asr.run(self.profile.asr.hearing, heard, words)
                    again = scope.cancelled_caught
                except* Transient as group:
                    self._ask_again(group)

    def _ask_again(self, group: BaseExceptionGroup[Transient]) -> None:
        """Tell the caller that words were lost; too often in a row, and the call is over."""
        said = sum(message.role == "user" for message in self.history)
        before, count = self._lost
        self._lost = (said, count + 1 if said == before else 1)
        if self._lost[1] > LOST:
            raise group
        self.blame(first_sentence(group))
        self.tell(f"{first_sentence(group)}; please say it again, or type it.")

    async def _warm(self) -> None:
        try:
            with blamed("llm"):
                await self.stages.llm.warm(self.history.opening)
        except* StageError:
            _log.warning("call %s begins cold", self.name, exc_info=True)

    def _ears(self, line: Line, tasks: TaskGroup, asr: MemoryObjectSendStream[AsrInput]) -> Ears:
        profile, stages = self.profile, self.stages
        turns = self.turns = Turns(profile.turn.settings, self._turn, self._reply)
        replies = Replies(self.name, profile, stages, self.history, line, tasks, turns, self.keep)
        replies.belt, replies.late = self._belt(), self.late
        ears = Ears(line, profile, turns, replies, stages.turn, asr, tasks, self._at_rest)
        ears.blame = self.blame
        self._meet(ears, stages)
        self._ears_now = ears
        return ears

    def _meet(self, ears: Ears, stages: Stages) -> None:
        """Tell voices apart from now on as these stages' character does, or not at all."""
        company, turns = stages.company, ears.turns
        ears.voices = company.in_call(self.say) if company is not None else None
        turns.answers_known = turns.yields_to_known = False
        if ears.voices is not None:
            ears.voices.take_over(turns)
        ears.replies.recall = self._recall(ears.voices)

    def _recall(self, voices: Voices | None) -> Recall | None:
        profile, choice = self.profile, self.profile.memory
        if self.memories is None or voices is None or choice is None or not choice.keep:
            return None
        llm = self.stages.llm
        return Recall(self.memories, voices, profile, choice, llm, self.name, self.tell)

    def _at_rest(self, ears: Ears) -> None:
        self._rest.set()
        if self._ends:
            self._ends = False
            ears.tasks.start_soon(self.hang_up, "the character hung up")
        self._wake()
        if self._to_say:
            ears.replies.own_words = self._to_say.popleft()
            ears.act(self.turns.greet())
        if self._hears_anew and not ears.asr.statistics().current_buffer_used:
            self._hearing.cancel()

    def _wake(self) -> None:
        """Say what was to be said later, if its time has come and there is room."""
        now = anyio.current_time()
        for due in [item for item in self._later if item[0] <= now]:
            if self.say(due[1]):
                self._later.remove(due)

    def _belt(self) -> Belt | None:
        if not self.profile.tools:
            return None
        try:
            found = self.servers.tools if self.servers else lambda choice: ()
            return open_belt(self.profile.tools, self.profile.language, self, found)
        except ProfileError as error:
            self.tell(f"{self.profile.name} has no tools: {error.reason}")
            return None

    def _begin(self, line: Line, ears: Ears) -> None:
        first, name = self._reply == 1, self.profile.name
        welcome = Welcome(call=self.name, session=self.session, profile=self.profile.id, name=name)
        line.send(welcome)
        line.play(ears.pull)
        if first and self.profile.greeting:
            ears.act(self.turns.greet())

    async def _read(self, line: Line, ears: Ears) -> None:
        """Do what the page asks, until it hangs up or is gone."""
        async for word in line.inbox:
            match word:
                case Say():
                    ears.act(self.turns.typed(word.text))
                case HeardReply():
                    ears.replies.heard(word)
                case Silenced():
                    ears.replies.silenced(word)
                case Switch():
                    ears.tasks.start_soon(self._switch, line, word.profile)
                case HangUp():
                    self._over = True
                    return
                case _:
                    pass

    async def _switch(self, line: Line, profile_id: str) -> None:
        """Do what the page asked, or tell it why not."""
        if self._casting.locked():
            line.send(Trouble(sentence="The character is being changed already."))
            return
        try:
            await self.switch(profile_id)
        except CallRefused as refused:
            line.send(Trouble(sentence=str(refused)))
