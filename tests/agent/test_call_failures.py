"""Calls whose stages misbehave: the caller is told, and nobody else notices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from agent.engines import Mouth, Stages
from agent.messages import ReplyEnd, Say, Trouble
from agent.speak import SORRY
from stages.audio import silence
from stages.contracts import Sink, Source
from stages.errors import Transient, Unusable
from stages.events import (
    SAMPLE_RATE,
    AsrInput,
    Audio,
    ChatRequest,
    Hearing,
    LlmEvent,
    Message,
    Pause,
    PauseContext,
    Transcript,
    UtteranceStart,
    VadFrame,
    Voice,
)
from tests.agent.calling import calling, tone
from tests.agent.speaking import Mind, Voiced


class Deaf:
    """An ASR that stops taking audio, one way or another."""

    def __init__(self, leaves: bool) -> None:
        self.leaves = leaves

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        async with sink:
            if self.leaves:
                await source.aclose()
            else:
                await anyio.sleep_forever()


class Noise:
    """A VAD that hears speech in everything."""

    async def run(self, source: Source[Audio], sink: Sink[VadFrame]) -> None:
        async with sink:
            async for audio in source:
                await sink.send(VadFrame(audio, 1.0))


async def test_an_asr_that_has_no_words_is_given_up_with_a_sentence(tmp_path: Path) -> None:
    def change(stages: Stages) -> Stages:
        return replace(stages, asr=Deaf(leaves=False))

    async with calling(tmp_path, change=change) as running:
        await running.page.wait_for(ReplyEnd)
        running.line.say(tone(0.5))
        trouble = await running.page.wait_for(Trouble)
        assert trouble.sentence == "asr: no words came; please say it again."
        running.line.write(Say(text="then I type"))
        assert "then I type" in (await running.page.wait_for(ReplyEnd, 2)).heard
    assert running.blamed == ["asr: no words came"]


@pytest.mark.parametrize("leaves", [True, False])
async def test_an_asr_that_takes_no_more_audio_ends_the_call_with_a_sentence(
    tmp_path: Path, leaves: bool
) -> None:
    def change(stages: Stages) -> Stages:
        return replace(stages, asr=Deaf(leaves), vad=Noise())

    async with calling(tmp_path, change=change, pace=0.001) as running:
        await running.end()
    [trouble] = running.page.all(Trouble)
    assert trouble.sentence == "The call cannot go on: asr: it has stopped taking audio"
    assert running.blamed == ["asr: it has stopped taking audio"]


class Interrupted:
    """An ASR that loses its service over the first ``losses`` utterances, and then hears "yes"."""

    def __init__(self, losses: int) -> None:
        self.losses = losses

    async def run(
        self, hearing: Hearing, source: Source[AsrInput], sink: Sink[Transcript]
    ) -> None:
        begun = None
        async with sink:
            async for item in source:
                if isinstance(item, UtteranceStart):
                    begun = item.utterance
                    if self.losses:
                        self.losses -= 1
                        raise Transient("asr", "the connection broke off twice")
                if isinstance(item, Pause):
                    text = "yes" if item.utterance == begun else ""
                    await sink.send(Transcript(item.utterance, text, item.at, final=True))


async def test_an_asr_that_fails_for_a_moment_asks_to_say_it_again_and_the_call_goes_on(
    tmp_path: Path,
) -> None:
    asr = Interrupted(losses=1)
    async with calling(tmp_path, change=lambda stages: replace(stages, asr=asr)) as running:
        await running.page.wait_for(ReplyEnd)
        running.line.say(tone(0.5))
        trouble = await running.page.wait_for(Trouble)
        assert trouble.sentence == (
            "asr: the connection broke off twice; please say it again, or type it."
        )
        running.line.say(silence(SAMPLE_RATE))
        running.line.say(tone(0.5))
        running.line.say(silence(2 * SAMPLE_RATE))
        assert "yes" in (await running.page.wait_for(ReplyEnd, 2)).heard
    assert running.blamed == ["asr: the connection broke off twice"]


async def test_an_asr_that_fails_again_and_again_ends_the_call(tmp_path: Path) -> None:
    asr = Interrupted(losses=9)
    async with calling(tmp_path, change=lambda stages: replace(stages, asr=asr)) as running:
        await running.page.wait_for(ReplyEnd)
        for _ in range(3):
            running.line.say(tone(0.5))
            running.line.say(silence(2 * SAMPLE_RATE))
        await running.end()
    told = [trouble.sentence for trouble in running.page.all(Trouble)]
    assert told[-1] == "The call cannot go on: asr: the connection broke off twice"
    assert sum("please say it again, or type it" in sentence for sentence in told) == 2


async def test_a_stage_that_breaks_ends_its_own_call_only(tmp_path: Path) -> None:
    class Broken:
        async def run(self, source: Source[Audio], sink: Sink[VadFrame]) -> None:
            raise ValueError("no such frame")

    async with (
        calling(tmp_path) as well,
        calling(tmp_path, change=lambda stages: replace(stages, vad=Broken())) as running,
    ):
        await running.end()
        [trouble] = running.page.all(Trouble)
        assert "The call cannot go on: vad: it broke with ValueError" in trouble.sentence
        [blamed] = running.blamed
        assert blamed.startswith("vad: it broke with ValueError")
        assert not well.blamed
        well.line.write(Say(text="are you well?"))
        assert "are you well?" in (await well.page.wait_for(ReplyEnd, 2)).heard


class Baffled:
    """A turn detector that fails, or never comes to an opinion."""

    def __init__(self, hangs: bool) -> None:
        self.hangs = hangs

    async def judge(self, pause: PauseContext) -> float:
        if self.hangs:
            await anyio.sleep_forever()
        raise Unusable("turn", "the model has no such input")


@pytest.mark.parametrize(
    ("hangs", "sentence"),
    [(False, "turn: the model has no such input"), (True, "turn: no opinion within 1 s")],
)
async def test_a_turn_detector_that_fails_costs_its_opinion_and_is_counted(
    tmp_path: Path, hangs: bool, sentence: str
) -> None:
    detector = Baffled(hangs)
    async with calling(tmp_path, change=lambda stages: replace(stages, turn=detector)) as running:
        await running.page.wait_for(ReplyEnd)
        running.line.say(tone(0.5))
        end = await running.page.wait_for(ReplyEnd, 2)
        assert end.heard
        await running.recorded(1)  # two seconds later
    assert sentence in running.blamed
    assert not running.page.all(Trouble)


async def test_an_llm_that_breaks_says_sorry_and_the_call_goes_on(tmp_path: Path) -> None:
    class Broken(Mind):
        async def warm(self, messages: tuple[Message, ...]) -> None:
            raise Transient("llm", "nobody answers")

        async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
            raise ZeroDivisionError

    async with calling(
        tmp_path, change=lambda stages: replace(stages, llm=Broken(()))
    ) as running:
        await running.page.wait_for(ReplyEnd)
        for count in (2, 3):
            running.line.write(Say(text="hello"))
            end = await running.page.wait_for(ReplyEnd, count)
            assert end.heard == SORRY["en"]
    assert all(record.error for record in running.records)
    assert "it broke with ZeroDivisionError" in running.page.all(Trouble)[0].sentence


async def test_a_voice_that_fails_hands_over_and_the_record_says_so(tmp_path: Path) -> None:
    broken = Voiced(0, then=Unusable("tts edge", "403"))

    def change(stages: Stages) -> Stages:
        names = {**stages.names, "tts": "edge"}
        mouths = (Mouth("edge", broken, Voice()), *stages.mouths)
        return replace(stages, mouths=mouths, names=names)

    async with calling(tmp_path, change=change) as running:
        running.line.write(Say(text="hello"))
        await running.page.wait_for(ReplyEnd, 2)
    [record] = running.records
    assert record.fallbacks == ("tts edge: 403; the voice 'tone' goes on.",)
    assert record.stages["tts"] == "tone"  # the voice whose sound was heard
    assert record.error is None
