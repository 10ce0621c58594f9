"""A reply that is a guess: so much is read and said of it; when it is due, it goes on at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest

from agent.engines import Mouth, Stages
from agent.guess import Guess
from agent.messages import ReplyEnd
from agent.playout import ReplyAudio
from agent.profile import Profile, Shelf
from agent.speak import Script, speak
from stages.audio import silence
from stages.contracts import Sink
from stages.errors import Transient
from stages.events import ChatRequest, LlmEvent, Message, TextDelta, Usage, Voice
from tests.agent.calling import calling, tone
from tests.agent.speaking import Mind, Notes, Voiced, mouths
from tests.skipping import skipping

REQUEST = ChatRequest((Message("user", "Tell me of the sea."),))
STORY = tuple(f"This is sentence number {n}. " for n in range(40))


@dataclass
class Talker(Mind):
    """A mind that notes how many of its pieces were taken."""

    taken: int = 0

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        async with sink:
            for piece in self.pieces:
                await sink.send(TextDelta(piece))
                self.taken += 1
            await sink.send(Usage(3, self.taken))


@dataclass
class Guessed:
    """A reply that is being made, and nobody knows yet whether it is wanted."""

    mind: Talker
    voices: tuple[Voiced, ...]
    guess: Guess
    audio: ReplyAudio = field(default_factory=lambda: ReplyAudio(1))
    notes: Notes = field(default_factory=Notes)

    async def run(self) -> None:
        plan = Script(self.mind, mouths(*self.voices), "en", REQUEST, guess=self.guess)
        await speak(plan, self.audio, self.notes)


@asynccontextmanager
async def guessing(
    pieces: tuple[str, ...], *voices: Voiced, tokens: int = 8
) -> AsyncIterator[Guessed]:
    """Make a reply as far as a guess goes; at the end it is due, and made to its end."""
    made = Guessed(Talker(pieces), voices or (Voiced(),), Guess(tokens))
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.run)
            await anyio.wait_all_tasks_blocked()
            yield made
            made.guess.sure.set()


async def test_so_many_tokens_are_read_and_one_clause_is_said() -> None:
    async with guessing(STORY) as made:
        assert made.notes.pieces == made.mind.taken == 8
        assert made.voices[0].got == [STORY[0]]
        assert [span.text for span in made.audio.spans] == [STORY[0]]
    assert "".join(made.voices[0].got).strip() == "".join(STORY).strip()
    assert [span.text for span in made.audio.spans] == made.notes.clauses
    assert made.notes.costs == [Usage(3, 40)]
    assert made.audio.finished


async def test_a_first_clause_of_a_word_is_not_alone() -> None:
    async with guessing(("Yes. ", "No. ", *STORY)) as made:
        assert "".join(made.voices[0].got).startswith("Yes. No. ")
        assert len(made.voices[0].got) <= 3


async def test_a_reply_shorter_than_a_guess_is_there_before_it_is_due() -> None:
    async with guessing(("I am here.",)) as made:
        assert made.audio.pushed == 100 * len("I am here.")
        assert made.notes.costs == [Usage(3, 1)]
    assert made.audio.finished


async def test_the_other_voice_says_the_same_clause_where_the_first_fails() -> None:
    fails, other = Voiced(0, 0, Transient("tts edge", "no answer")), Voiced()
    async with guessing(STORY, fails, other) as made:
        assert other.got == [STORY[0]]
    assert other.got[-1].strip() == STORY[-1].strip()
    assert len(made.notes.fallbacks) == 1


@skipping
async def test_a_wait_for_the_caller_is_no_silence_of_the_model() -> None:
    made = Guessed(Talker(STORY), (Voiced(),), Guess(2))
    plan = Script(
        made.mind, mouths(*made.voices), "en", REQUEST, thinking_s=0.02, voicing_s=0.02,
        guess=made.guess,
    )  # fmt: skip
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(speak, plan, made.audio, made.notes)
            await anyio.sleep(5)  # which the clock skips
            made.guess.sure.set()
    assert made.notes.failures == made.notes.fallbacks == []
    assert len(made.audio.spans) == len(STORY)


def frugal(folder: Path) -> Profile:
    """Return a character that reads five tokens of a guess."""
    text = "extends: bare\ngreeting: ''\nturn: {guess_tokens: 5}\n"
    (folder / "frugal.yaml").write_text(text, encoding="utf-8")
    return Shelf((folder, Path(__file__).resolve().parents[2] / "profiles")).load("frugal")


@pytest.mark.parametrize("goes_on", [True, False])
async def test_in_a_call_a_guess_costs_no_more_than_its_tokens(
    tmp_path: Path, goes_on: bool
) -> None:
    mind, voice = Talker(STORY[:8]), Voiced()

    def change(stages: Stages) -> Stages:
        return replace(stages, llm=mind, mouths=(Mouth("tone", voice, Voice()),))

    async with calling(tmp_path, frugal(tmp_path), change) as running:
        running.line.say(tone(0.6))
        if goes_on:
            running.line.say(silence(3200))
            running.line.say(tone(0.6))
        end = await running.page.wait_for(ReplyEnd)
        [record] = await running.recorded(1)
    assert end.heard == "".join(STORY[:8]).strip()
    assert record.speculation is not None
    assert (record.speculation.tries, record.speculation.hit) == (1 + goes_on, True)
    assert record.speculation.tokens_wasted == 5 * goes_on
