"""One call: who does what, from connect to hang-up. Every task of a call starts here.

The listening lane runs as long as the line; each reply is one task beside it. A line that is
lost ends both lanes, and the call waits a while for the caller to come back on a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from agent.engines import Stages
from agent.history import History
from agent.line import Line
from agent.listen import Ears
from agent.messages import HangUp, HeardReply, Say, Silenced, Trouble, Welcome
from agent.profile import Profile
from agent.replies import Replies
from agent.speak import first_sentence
from agent.timeline import TurnRecord
from agent.turn import Turns
from stages.errors import StageError
from stages.events import AsrInput, Transcript, VadFrame

COME_BACK_S = 30.0
"""How long a lost caller may take to come back."""
BEHIND = 1_600
"""Pieces of audio (20 to 32 ms) that ASR may be behind; one that is further behind has stopped."""


@dataclass(eq=False)
class Call:
    """A caller and a character.

    Args:
        keep: takes the record of every turn; never waits.
    """

    name: str
    session: str
    profile: Profile
    stages: Stages
    keep: Callable[[TurnRecord], None]
    line: Line | None = None
    _turn: int = 1
    _reply: int = 1
    _over: bool = False
    _draining: bool = False
    _next: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.history = History(self.profile.opening())
        self.turns = Turns(self.profile.turn.settings)

    async def run(self, line: Line) -> None:
        """Talk until the caller hangs up, or does not come back. Cancelling hangs up."""
        self.line = line
        while self.line is not None:
            await self._talk(self.line)
            self.line = await self._come_back()

    async def connect(self, line: Line) -> None:
        """Go on with this call on a new line; the old one, if it still stands, is closed."""
        old, self.line = self.line, line
        self._next.set()
        if old is not None:
            await old.close("the call goes on elsewhere")

    async def hang_up(self, reason: str) -> None:
        """End the call."""
        self._over = True
        self._next.set()
        if self.line is not None:
            await self.line.close(reason)

    async def drain(self) -> None:
        """End the call once the running turn is over."""
        self._draining = True
        if not self.turns.busy:
            await self.hang_up("the server is stopping")

    async def _come_back(self) -> Line | None:
        if not self._over and not self._next.is_set():
            self.line = None
            with anyio.move_on_after(COME_BACK_S):
                await self._next.wait()
        self._next = anyio.Event()
        return None if self._over else self.line

    async def _talk(self, line: Line) -> None:
        """Run both lanes on a line until it ends."""
        vad_in, frames = anyio.create_memory_object_stream[VadFrame](64)
        asr_in, utterances = anyio.create_memory_object_stream[AsrInput](BEHIND)
        word_in, words = anyio.create_memory_object_stream[Transcript](64)
        stages, hearing = self.stages, self.profile.asr.hearing
        try:
            with vad_in, frames, asr_in, utterances, word_in, words:
                async with anyio.create_task_group() as tasks:
                    replies = self._replies(line, tasks)
                    ears = Ears(line, self.profile, self.turns, replies, stages.turn, asr_in, tasks)
                    tasks.start_soon(line.run)
                    tasks.start_soon(stages.vad.run, line.audio, vad_in)
                    tasks.start_soon(ears.frames, frames)
                    tasks.start_soon(stages.asr.run, hearing, utterances, word_in)
                    tasks.start_soon(ears.words, words)
                    tasks.start_soon(stages.llm.warm, self.history.opening)
                    self._begin(line, ears, replies)
                    await self._read(line, ears, replies)
                    replies.abandon()
                    tasks.cancel_scope.cancel()
        except* StageError as group:
            line.send(Trouble(sentence=f"The call cannot go on: {first_sentence(group)}"))
            self._over = True
        finally:
            self._turn, self._reply = self.turns.turn, self.turns.reply
            with anyio.CancelScope(shield=True):
                await line.close("the call is over")
                await line.audio.aclose()
                await line.inbox.aclose()

    def _replies(self, line: Line, tasks: TaskGroup) -> Replies:
        self.turns = Turns(self.profile.turn.settings, self._turn, self._reply)
        return Replies(
            self.name, self.profile, self.stages, self.history, line, tasks, self.turns, self.keep
        )

    def _begin(self, line: Line, ears: Ears, replies: Replies) -> None:
        first, name = self._reply == 1, self.profile.name
        welcome = Welcome(call=self.name, session=self.session, profile=self.profile.id, name=name)
        line.send(welcome)
        line.play(replies.playout.pull)
        if first and self.profile.greeting:
            ears.act(self.turns.greet())

    async def _read(self, line: Line, ears: Ears, replies: Replies) -> None:
        """Do what the page asks, until it hangs up or is gone."""
        async for word in line.inbox:
            match word:
                case Say():
                    ears.act(self.turns.typed(word.text))
                case HeardReply():
                    replies.heard(word)
                case Silenced():
                    replies.silenced(word)
                case HangUp():
                    self._over = True
                    return
                case _:
                    pass
            if self._draining and not self.turns.busy:
                self._over = True
                return
