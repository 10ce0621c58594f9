"""Another character in the middle of a call: its voice at the next clause, its mind after that."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from agent.bench.memory_line import MemoryLine
from agent.engines import Mouth, Stages
from agent.errors import CallRefused
from agent.line import FRAME, PLAYOUT_RATE
from agent.messages import Heard, Playing, Reply, ReplyEnd, Say, Switch, Switched, Trouble
from agent.profile import Profile, load
from stages.contracts import Asr, Sink, Source
from stages.events import (
    AsrInput,
    ChatRequest,
    Hearing,
    LlmEvent,
    Message,
    Pause,
    TextDelta,
    Transcript,
    Voice,
)
from tests.agent.calling import Running, calling, tone

LOW, HIGH = 220.0, 440.0
STORY = "One is here. Two is there. Three is far away. Four is gone. Five came back."
FOX = load("bare").model_copy(update={"id": "fox", "name": "Fox", "persona_prompt": "A fox."})


@dataclass
class Storyteller:
    """An LLM that tells the story, and notes what it was asked."""

    asked: list[tuple[Message, ...]] = field(default_factory=list)

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """There is nothing to get ready."""

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        async with sink:
            self.asked.append(request.messages)
            await sink.send(TextDelta(STORY))



def as_the_fox(running: Running) -> Stages:
    """Give the call a fox to become, who speaks an octave higher."""
    stages = running.call.stages
    [mouth] = stages.mouths
    high = replace(stages, mouths=(Mouth("high", mouth.tts, Voice(pitch=HIGH - LOW)),))

    async def cast(profile: str) -> tuple[Profile, Stages]:
        if profile != "fox":
            raise CallRefused(400, f"there is no profile {profile!r}.")
        return FOX, high

    running.call.cast = cast
    return high


def pitches(line: MemoryLine) -> list[float]:
    """Return the pitch of every frame in which there is sound, in Hz, to 50 Hz."""
    loud = [frame for frame in line.heard if np.sqrt(np.mean(frame**2)) > 0.03]
    peaks = [int(np.argmax(np.abs(np.fft.rfft(frame)))) for frame in loud]
    return [peak * PLAYOUT_RATE / FRAME for peak in peaks]


@pytest.fixture
def storyteller() -> Storyteller:
    return Storyteller()


async def test_a_switch_in_the_middle_of_a_reply_changes_the_voice_at_the_next_clause(
    tmp_path: Path, storyteller: Storyteller
) -> None:
    async with calling(tmp_path, change=lambda s: replace(s, llm=storyteller)) as running:
        as_the_fox(running)
        await running.page.wait_for(ReplyEnd)  # the greeting
        before = len(running.line.heard)
        running.line.write(Say(text="tell me a story"))
        await running.page.wait_for(Playing, 2)
        await running.page.wait_for(Reply, 4)  # the greeting's clause, and three of the story
        running.line.write(Switch(profile="fox"))
        end = await running.page.wait_for(ReplyEnd, 2)
        running.line.heard = running.line.heard[before:]
        clauses = [word.text.strip() for word in running.page.all(Reply)][1:]
    heard = pitches(running.line)
    low, high = [p for p in heard if p < 300], [p for p in heard if p >= 300]
    assert low, "the clause that sounded was finished in the old voice"
    assert high, "the next one came in the new voice"
    assert max(heard.index(p) for p in set(low)) < heard.index(high[0])
    assert heard == low + high, "and all that followed"
    assert len(high) > len(low)
    assert " ".join(clauses) == STORY, "the page was told each clause once"
    assert (end.heard, end.interrupted) == (STORY, False)
    assert [word.name for word in running.page.all(Switched)] == ["Fox"]
    assert [message.content for message in running.call.history][-1] == STORY


async def test_after_a_switch_the_new_character_is_asked_and_remembers(
    tmp_path: Path, storyteller: Storyteller
) -> None:
    async with calling(tmp_path, change=lambda s: replace(s, llm=storyteller)) as running:
        as_the_fox(running)
        await running.page.wait_for(ReplyEnd)
        running.line.write(Say(text="tell me a story"))
        await running.page.wait_for(ReplyEnd, 2)
        running.call.become(FOX, replace(as_the_fox(running), llm=storyteller))
        running.line.write(Say(text="and another one"))
        await running.page.wait_for(ReplyEnd, 3)
    first, second = storyteller.asked
    assert first[0].content.startswith("You repeat what you hear.")
    assert second[0].content.startswith("A fox.")
    assert [message.content for message in second[1:]] == [
        "Hello, this is a test call.",
        "tell me a story",
        STORY,
        "and another one",
    ]
    assert running.page.all(Switched)


async def test_a_reply_cut_after_a_switch_is_remembered_as_it_was_heard(
    tmp_path: Path, storyteller: Storyteller
) -> None:
    async with calling(tmp_path, change=lambda s: replace(s, llm=storyteller)) as running:
        as_the_fox(running)
        await running.page.wait_for(ReplyEnd)
        running.line.write(Say(text="tell me a story"))
        await running.page.wait_for(Playing, 2)
        await running.call.switch("fox")
        await running.page.wait_for(Reply, 4)
        running.line.write(Say(text="stop"))
        end = await running.page.wait_for(ReplyEnd, 2)
    assert end.interrupted
    assert STORY.startswith(end.heard)
    assert len(end.heard) < len(STORY)


async def test_nobody_of_that_name_leaves_the_call_as_it_was(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        as_the_fox(running)
        await running.page.wait_for(ReplyEnd)
        running.line.write(Switch(profile="wolf"))
        trouble = await running.page.wait_for(Trouble)
        assert "there is no profile 'wolf'" in trouble.sentence
        assert running.call.profile.id == "bare"


@dataclass
class Deaf:
    """An ASR that hears its own name in everything, and notes that it was started."""

    name: str
    utterances: int = 0

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        async with sink:
            async for item in source:
                if isinstance(item, Pause):
                    said = f"this is {self.name} speaking"
                    await sink.send(
                        Transcript(item.utterance, said, item.at, final=True, stable=len(said))
                    )


async def test_the_new_character_listens_with_its_own_asr(tmp_path: Path) -> None:
    old: Asr = Deaf("old")
    async with calling(tmp_path, change=lambda s: replace(s, asr=old)) as running:
        high = as_the_fox(running)
        await running.page.wait_for(ReplyEnd)
        running.line.say(tone(1.0))
        await running.page.wait_for(ReplyEnd, 2)
        running.call.become(FOX, replace(high, asr=Deaf("new")))
        running.line.say(np.zeros(8000, np.float32))
        running.line.say(tone(1.0))
        await running.page.wait_for(ReplyEnd, 3)
    finals = [word.text for word in running.page.all(Heard) if word.final]
    assert finals == ["this is old speaking", "this is new speaking"]


async def test_a_text_from_outside_is_said_when_nobody_has_the_word(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await running.page.wait_for(Playing)
        assert running.call.say("The washing is done.")
        greeting = await running.page.wait_for(ReplyEnd)
        assert not greeting.interrupted
        end = await running.page.wait_for(ReplyEnd, 2)
        assert (end.heard, end.turn) == ("The washing is done.", 0)
        contents = [message.content for message in running.call.history]
        assert contents == ["Hello, this is a test call.", "The washing is done."]
        assert sum(running.call.say("more") for _ in range(40)) < 40, "a bounded number waits"
