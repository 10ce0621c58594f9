"""Calls of known callers: what was said is there the next time, for them and nobody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.engines import Stages
from agent.memory.keeper import Memories, open_memories
from agent.memory.record import Memory
from agent.memory.store import Change, MemoryBook
from agent.messages import Playing, Recognised, ReplyEnd, Say, Trouble
from agent.profile import Profile, load
from agent.speakers import Clip, SpeakerBook, print_of
from stages.audio import silence
from stages.contracts import Sink
from stages.errors import Transient
from stages.events import SAMPLE_RATE, ChatRequest, LlmEvent, Message, TextDelta
from stages.speaker.spectrum import Spectrum
from tests.agent.calling import Running, calling
from tests.agent.voices import voice

ANNA, BO, STRANGER = 200.0, 3_000.0, 900.0
STORY = "One is here. Two is there. Three is far away. Four is gone. Five came back."


@dataclass
class Mind:
    """An LLM that notes what it is asked, and gives its answers in turn, the last for ever."""

    answers: tuple[str, ...] = ("All right.",)
    writes_summaries: bool = True
    summary: str = "Summed up."
    fails: bool = False
    asked: list[tuple[Message, ...]] = field(default_factory=list)
    summed: list[str] = field(default_factory=list)

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """There is nothing to get ready."""

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        async with sink:
            if request.messages[0].content.startswith("You keep a voice assistant's notes"):
                self.summed.append(request.messages[1].content)
                if self.fails:
                    raise Transient("llm mind", "the server is gone")
                await sink.send(TextDelta(self.summary))
                return
            self.asked.append(request.messages)
            await sink.send(TextDelta(self.answers[min(len(self.asked), len(self.answers)) - 1]))

    def notes(self, request: int = -1) -> Any:
        """Return what a request told of earlier calls; none if nothing."""
        for message in self.asked[request]:
            if message.content.startswith("Notes of earlier calls"):
                return json.loads(message.content.partition("\n")[2])
        return None


def bare(profile_id: str = "bare", lines: tuple[str, ...] = (), **memory: Any) -> Profile:
    said = load("bare").model_dump(exclude_unset=True) | {"id": profile_id}
    wishes = {"speakers": {"engine": "spectrum"}, "memory": {"keep": True} | memory}
    asr = {"asr": {"engine": "scripted", "lines": list(lines)}} if lines else {}
    return Profile.model_validate(said | wishes | asr)


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Return a state folder in which Anna and Bo are known."""
    book = SpeakerBook(tmp_path / "state")
    for name, hertz in (("Anna", ANNA), ("Bo", BO)):
        made = await print_of(Spectrum(0.9), name, [Clip("one.wav", voice(hertz, 5.0))])
        await anyio.to_thread.run_sync(book.put, made)
    return tmp_path / "state"


@asynccontextmanager
async def a_call(
    folder: Path, profile: Profile, mind: Mind, name: str = "c1", memories: Memories | None = None
) -> AsyncIterator[Running]:
    """Run a call of a server of its own, or of one that is given; at the end all is kept."""

    def change(stages: Stages) -> Stages:
        assert stages.company is not None
        company = replace(stages.company, book=SpeakerBook(folder))
        return replace(stages, company=company, llm=mind)

    async with served(folder, memories) as kept:
        more: dict[str, Any] = {"memories": kept, "name": name}
        async with calling(folder.parent, profile, change, **more) as running:
            await running.page.wait_for(ReplyEnd)  # the greeting
            yield running
            await running.call.hang_up("done")
            await running.end()


@asynccontextmanager
async def served(folder: Path, memories: Memories | None) -> AsyncIterator[Memories]:
    if memories is not None:
        yield memories
        return
    async with open_memories(folder) as opened:
        yield opened


async def say(running: Running, hertz: float, replies: int) -> None:
    """Say something in a voice, and wait for the reply of that number; the greeting is 1."""
    running.line.say(voice(hertz, 1.5))
    running.line.say(silence(3 * SAMPLE_RATE))
    await running.page.wait_for(ReplyEnd, replies)


async def kept(folder: Path, name: str, profile: str = "bare") -> list[tuple[str, str]]:
    memory = await anyio.to_thread.run_sync(MemoryBook(folder).get, name, profile)
    return [(one.caller, one.reply) for one in memory.turns] if memory else []


class TellingBook(MemoryBook):
    """A book that tells whoever waits that it was written in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._news = anyio.Event()

    def change(self, name: str, profile: str, change: Change) -> None:
        super().change(name, profile, change)
        anyio.from_thread.run_sync(self._tell)

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def until(self, written: Callable[[Memory], bool]) -> None:
        """Wait until a memory is in it that is as wanted."""
        with anyio.fail_after(15):
            while True:
                news = self._news
                if any(map(written, await anyio.to_thread.run_sync(self.all))):
                    return
                await news.wait()


# --- what continues -------------------------------------------------------------------------


async def test_a_conversation_continues_in_the_next_call(folder: Path) -> None:
    first, second = Mind(("Rex is a fine name.",)), Mind()
    async with a_call(folder, bare(lines=("my dog is called rex",)), first) as running:
        await say(running, ANNA, 2)
    assert first.notes() is None, "nothing is remembered yet"
    profile = bare(lines=("what is his name", "thank you"))
    async with a_call(folder, profile, second, "c2") as running:
        await say(running, ANNA, 2)
        await say(running, ANNA, 3)
    [turn] = second.notes(0)["turns"]
    assert (turn["caller"], turn["you"]) == ("my dog is called rex", "Rex is a fine name.")
    roles = [message.role for message in second.asked[0]]
    assert roles == ["system", "user", "assistant", "assistant", "user"]
    assert second.asked[0][-1].content == "what is his name"
    assert second.notes(1) == second.notes(0), "its own turns are in its history"
    assert "Anna" not in str(second.asked), "no model is told a name"


async def test_a_reply_that_was_cut_is_remembered_as_it_was_heard(folder: Path) -> None:
    mind = Mind((STORY,))
    async with a_call(folder, bare(lines=("tell me a story",)), mind) as running:
        running.line.say(voice(ANNA, 1.5))
        running.line.say(silence(SAMPLE_RATE))
        await running.page.wait_for(Playing, 2)
        running.line.write(Say(text="stop"))
        end = await running.page.wait_for(ReplyEnd, 2)
        await running.page.wait_for(ReplyEnd, 3)
    assert end.interrupted
    assert await kept(folder, "Anna") == [("tell me a story", end.heard)]
    assert len(end.heard) < len(STORY)


async def test_older_turns_are_summed_up_after_the_call_by_its_own_mind(folder: Path) -> None:
    mind = Mind(summary="Anna's dog is Rex.")
    lines = ("my dog is called rex", "he is three", "he is brown")
    async with open_memories(folder) as memories:
        memories.book = book = TellingBook(folder)
        async with a_call(folder, bare(lines=lines, turns=1), mind, "c1", memories) as running:
            for number in range(3):
                await say(running, ANNA, number + 2)
            assert mind.summed == [], "while the call lasts its model has other things to do"
        await book.until(lambda memory: bool(memory.summary))
    [memory] = MemoryBook(folder).all()
    assert (memory.summary, memory.summed, memory.dropped) == ("Anna's dog is Rex.", 2, 0)
    assert [one["caller"] for one in json.loads(mind.summed[0])["turns"]] == list(lines[:2])
    second = Mind()
    async with a_call(folder, bare(), second, "c2") as running:
        await say(running, ANNA, 2)
    assert second.notes()["summary"] == "Anna's dog is Rex."
    assert [one["caller"] for one in second.notes()["turns"]] == ["he is brown"]


@pytest.mark.parametrize("mind", [Mind(fails=True), Mind(writes_summaries=False)])
async def test_where_no_summary_can_be_made_older_turns_are_dropped_and_counted(
    folder: Path, mind: Mind
) -> None:
    async with open_memories(folder) as memories:
        memories.book = book = TellingBook(folder)
        profile = bare(lines=("one", "two"), turns=1)
        async with a_call(folder, profile, mind, "c1", memories) as running:
            await say(running, ANNA, 2)
            await say(running, ANNA, 3)
        await book.until(lambda memory: bool(memory.dropped))
    [memory] = MemoryBook(folder).all()
    assert (memory.summary, memory.fallen, memory.dropped) == ("", (), 1)
    assert [one.caller for one in memory.turns] == ["two"]


# --- whose it is ----------------------------------------------------------------------------


async def test_a_memory_is_only_of_the_one_whose_turn_it_is(folder: Path) -> None:
    async with a_call(folder, bare(lines=("my pin is four two",)), Mind()) as running:
        await say(running, ANNA, 2)
    mind = Mind()
    profile = bare(lines=("what do you know", "and of me", "go on", "well"))
    async with a_call(folder, profile, mind, "c2") as running:
        await say(running, BO, 2)
        await say(running, ANNA, 3)
        await say(running, STRANGER, 4)
        await say(running, BO, 5)
    assert [message.name for message in running.page.all(Recognised)] == ["Bo", "Anna", "", "Bo"]
    assert mind.notes(0) is None
    assert mind.notes(1)["turns"][0]["caller"] == "my pin is four two"
    assert mind.notes(2) is None
    assert mind.notes(3) is None
    of_anna, of_bo = await kept(folder, "Anna"), await kept(folder, "Bo")
    assert [caller for caller, _ in of_anna] == ["my pin is four two", "and of me"]
    assert [caller for caller, _ in of_bo] == ["what do you know", "well"]
    assert len(MemoryBook(folder).all()) == 2, "of the stranger there is nothing"


async def test_typed_words_are_nobodys(folder: Path) -> None:
    async with a_call(folder, bare(), Mind()) as running:
        await say(running, ANNA, 2)
    mind = Mind()
    async with a_call(folder, bare(), mind, "c2") as running:
        await say(running, ANNA, 2)
        running.line.write(Say(text="what did I say the last time?"))
        await running.page.wait_for(ReplyEnd, 3)
    assert mind.notes(0) is not None
    assert mind.notes(1) is None
    assert len(await kept(folder, "Anna")) == 2


async def test_one_characters_memory_is_not_anothers_and_a_switch_follows(folder: Path) -> None:
    async with a_call(folder, bare(lines=("a secret for bare",)), Mind()) as running:
        await say(running, ANNA, 2)
    mind, fox = Mind(), bare("fox", ("hello fox", "hello again"))
    async with a_call(folder, bare(lines=("hello bare",)), mind, "c2") as running:
        await say(running, ANNA, 2)
        running.call.become(fox, running.call.stages)
        await say(running, ANNA, 3)
    assert mind.notes(0)["turns"][0]["caller"] == "a secret for bare"
    assert mind.notes(1) is None
    assert "a secret for bare" not in str(mind.asked[1])
    assert len(await kept(folder, "Anna", "bare")) == 2
    assert len(await kept(folder, "Anna", "fox")) == 1
    third = Mind()
    async with a_call(folder, fox, third, "c3") as running:
        await say(running, ANNA, 2)
    assert [turn["caller"] for turn in third.notes()["turns"]] == [
        (await kept(folder, "Anna", "fox"))[0][0]
    ]


async def test_a_character_that_is_to_forget_keeps_nothing(folder: Path) -> None:
    profile = bare(keep=False)
    async with a_call(folder, profile, Mind()) as running:
        await say(running, ANNA, 2)
    assert not (folder / "memory.sqlite").exists()


# --- forgetting -----------------------------------------------------------------------------


async def test_what_is_forgotten_in_the_middle_of_a_call_is_not_told_again(folder: Path) -> None:
    async with a_call(folder, bare(lines=("my pin is four two",)), Mind()) as running:
        await say(running, ANNA, 2)
    mind = Mind()
    profile = bare(lines=("hi", "ho"))
    async with (
        open_memories(folder) as memories,
        a_call(folder, profile, mind, "c2", memories) as running,
    ):
        memories.book = book = TellingBook(folder)
        await say(running, ANNA, 2)
        assert mind.notes(0) is not None
        await book.until(lambda memory: len(memory.turns) == 2)
        assert await memories.forget("Anna") == 1
        await say(running, ANNA, 3)
    assert mind.notes(1) is None
    assert [caller for caller, _ in await kept(folder, "Anna")] == ["ho"]


async def test_of_a_voice_that_was_deleted_nothing_is_left_and_nothing_new_is_kept(
    folder: Path,
) -> None:
    async with a_call(folder, bare(lines=("my pin is four two",)), Mind()) as running:
        await say(running, ANNA, 2)
    async with a_call(folder, bare(), Mind(), "c2") as running:
        await say(running, ANNA, 2)
        await anyio.to_thread.run_sync(SpeakerBook(folder).forget, "Anna")
        await say(running, ANNA, 3)  # the call knows her voice until it is over
    assert running.page.all(Recognised)[-1].name == "Anna"
    assert MemoryBook(folder).all() == []


# --- what goes wrong ------------------------------------------------------------------------


async def test_a_broken_disk_is_a_sentence_and_the_call_goes_on(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "memory.sqlite").write_bytes(b"no database" * 500)
    async with a_call(folder, bare(), Mind()) as running:
        await say(running, ANNA, 2)
        await say(running, ANNA, 3)
    [trouble] = running.page.all(Trouble)
    assert trouble.sentence == (
        "Bare remembers nothing of earlier calls: what was kept cannot be read. The server's log"
        " says why."
    )
    assert "Nothing is remembered: " in caplog.text
    assert "file is not a database. Calls go on." in caplog.text
