from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from stages.asr.two_pass import BACKLOG, LONGEST, BadChoice, TwoPassAsr, TwoPassOptions
from stages.audio import samples_in, silence
from stages.contracts import Sink, Source
from stages.errors import Unusable, UserError
from stages.events import (
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Transcript,
    UtteranceEnd,
    UtteranceStart,
)
from stages.models import ModelStore
from stages.registry import find
from tests.stages.streams import fed

QUICK = {"engine": "scripted", "lines": ["wot tyme is it"]}
SURE = {"engine": "scripted", "lines": ["What time is it?"]}


def call(*, pauses: int = 1, ends: bool = True) -> list[AsrInput]:
    """Write down a second of speech before every pause, then the end of the utterance."""
    words: list[AsrInput] = [UtteranceStart(1, 0)]
    at = 0
    for _ in range(pauses):
        for _ in range(50):
            words.append(Audio(silence(samples_in(20)), at))
            at += samples_in(20)
        words.append(Pause(1, at))
    return [*words, UtteranceEnd(1)] if ends else words


async def heard(words: Sequence[AsrInput], **options: Any) -> list[Transcript]:
    plugin = find("asr", "two_pass")
    chosen = TwoPassOptions.model_validate({"partials": QUICK, "finals": SURE, **options})
    async with plugin.open(chosen, ModelStore(Path())) as asr:

        async def run(source: Source[AsrInput], sink: Sink[Transcript]) -> None:
            await asr.run(Hearing(), source, sink)

        return await fed(run, words)


class Ear:
    """A recogniser that writes down what it is given, and when a pause comes says how much."""

    def __init__(self) -> None:
        self.given: list[AsrInput] = []

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        async with sink:
            async for word in source:
                self.given.append(word)
                if isinstance(word, Pause):
                    await sink.send(Transcript(1, str(len(self.given)), word.at, final=True))


async def both(quick: Ear, sure: Ear, words: Sequence[AsrInput]) -> list[Transcript]:
    asr = TwoPassAsr(quick, sure)

    async def run(source: Source[AsrInput], sink: Sink[Transcript]) -> None:
        await asr.run(Hearing(), source, sink)

    return await fed(run, words)


async def test_the_quick_one_is_shown_and_the_sure_one_has_the_last_word() -> None:
    transcripts = await heard(call())

    partials = [one.text for one in transcripts if not one.final]
    finals = [one.text for one in transcripts if one.final]
    assert partials[0] == "wot"
    assert partials[-1] == "wot tyme is it"
    assert finals == ["What time is it?"]


async def test_words_of_the_quick_one_that_the_sure_one_has_said_are_not_shown_again() -> None:
    sure_was_heard = anyio.Event()

    class Slow:
        """A quick one that is late: it comes with its words when the final is out."""

        async def run(
            self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
        ) -> None:
            async with sink, source:
                await sure_was_heard.wait()
                for text in ("what time is", "what time is it", "what time is it in rome"):
                    await sink.send(Transcript(1, text, 32_000))

    class Sure:
        async def run(
            self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
        ) -> None:
            async with sink, source:
                await sink.send(Transcript(1, "What time is it?", 16_000, final=True))

    texts: list[str] = []
    say, hear = anyio.create_memory_object_stream[AsrInput](1)
    give, take = anyio.create_memory_object_stream[Transcript](8)
    async with hear, take, anyio.create_task_group() as tasks:
        tasks.start_soon(TwoPassAsr(Slow(), Sure()).run, Hearing(), hear, give)
        say.close()
        async for transcript in take:
            texts.append(transcript.text)
            sure_was_heard.set()

    assert texts == ["What time is it?", "what time is it in rome"]


async def test_every_pause_has_exactly_one_final() -> None:
    transcripts = await heard(call(pauses=3))

    assert [one.upto for one in transcripts if one.final] == [16_000, 32_000, 48_000]


async def test_the_sure_one_hears_nothing_of_a_noise_that_ends_without_a_pause() -> None:
    quick, sure = Ear(), Ear()
    noise: list[AsrInput] = [UtteranceStart(1, 0), Audio(silence(320), 0), UtteranceEnd(1)]

    await both(quick, sure, noise)

    assert len(quick.given) == 3
    assert sure.given == []


async def test_the_sure_one_hears_every_sample_once_and_in_order() -> None:
    quick, sure = Ear(), Ear()

    await both(quick, sure, call(pauses=2))

    assert sure.given == quick.given


async def test_of_an_endless_utterance_only_the_last_two_minutes_are_kept() -> None:
    quick, sure = Ear(), Ear()
    second = silence(samples_in(1000))
    words: list[AsrInput] = [UtteranceStart(1, 0)]
    words += [Audio(second, samples_in(1000) * number) for number in range(130)]

    await both(quick, sure, [*words, Pause(1, samples_in(130_000))])

    kept = sum(len(word.samples) for word in sure.given if isinstance(word, Audio))
    assert kept == LONGEST
    assert isinstance(sure.given[0], UtteranceStart)


async def test_when_one_of_the_two_fails_the_call_hears_why() -> None:
    class Deaf(Ear):
        async def run(
            self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
        ) -> None:
            async with sink, source:
                raise Unusable("asr deaf", "it hears nothing")

    with pytest.raises(ExceptionGroup) as caught:
        await both(Ear(), Deaf(), call())

    assert caught.group_contains(Unusable, match="asr deaf: it hears nothing")


class Stuck(Ear):
    """A quick one that hears nothing while something holds it up."""

    def __init__(self) -> None:
        super().__init__()
        self.released = anyio.Event()

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        await self.released.wait()
        await super().run(hearing, source, sink)


async def test_a_final_does_not_wait_for_a_quick_one_that_is_behind() -> None:
    quick = Stuck()
    asr = TwoPassAsr(quick, Ear())
    say, hear = anyio.create_memory_object_stream[AsrInput](0)
    give, take = anyio.create_memory_object_stream[Transcript](8)
    async with take, hear, anyio.create_task_group() as tasks:
        tasks.start_soon(asr.run, Hearing(), hear, give)
        async with say:
            for word in call(pauses=2):
                await say.send(word)
            assert [(await take.receive()).upto for _ in range(2)] == [16_000, 32_000]
            quick.released.set()

    assert len(quick.given) == BACKLOG
    assert asr.figures() == {"utterances_given_up_total": 1}


async def test_an_utterance_that_the_quick_one_gave_up_is_not_mixed_with_the_next() -> None:
    quick = Stuck()
    asr = TwoPassAsr(quick, Ear())
    say, hear = anyio.create_memory_object_stream[AsrInput](0)
    give, take = anyio.create_memory_object_stream[Transcript](8)
    second: list[AsrInput] = [
        UtteranceStart(2, 64_000),
        Audio(silence(320), 64_000),
        Pause(2, 64_320),
    ]
    async with take, hear, anyio.create_task_group() as tasks:
        tasks.start_soon(asr.run, Hearing(), hear, give)
        async with say:
            for word in call(pauses=2):
                await say.send(word)
            quick.released.set()
            await anyio.wait_all_tasks_blocked()
            for word in second:
                await say.send(word)

    assert quick.given[BACKLOG:] == second


async def test_it_cannot_be_its_own_second_pass() -> None:
    with pytest.raises(BadChoice, match="two_pass cannot be one of its own"):
        await heard(call(), finals={"engine": "two_pass"})


async def test_a_recogniser_that_nobody_provides_is_named() -> None:
    with pytest.raises(UserError, match="no asr stage called 'whisperer'"):
        await heard(call(), partials={"engine": "whisperer"})


async def test_a_setting_of_one_of_the_two_is_checked_as_if_it_stood_alone() -> None:
    with pytest.raises(BadChoice, match=r"asr\.finals\.linse"):
        await heard(call(), finals={"engine": "scripted", "linse": ["hello"]})


def test_the_models_of_both_are_needed() -> None:
    plugin = find("asr", "two_pass")
    chosen = TwoPassOptions.model_validate({"partials": QUICK, "finals": {"engine": "moonshine"}})

    assert plugin.models(chosen) == ("moonshine-tiny-en",)
