from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import numpy as np
import pytest

from stages.asr.moonshine import plugin
from stages.audio import samples_in, silence
from stages.contracts import Asr, Sink
from stages.errors import Unusable
from stages.events import (
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Samples,
    Transcript,
    UtteranceEnd,
    UtteranceStart,
)
from stages.models import ModelStore
from tests.stages.clips import clip, texts, word_errors
from tests.stages.streams import fed

pytestmark = pytest.mark.model

ENGLISH = Hearing("en-US")
LAMP = "dev/en_assistant/v2j_turn_on_living_room_lamp.flac"
BRIDGE = "dev/en_assistant/g_brooklyn.flac"
ORDER = "dev/en_assistant/alex_b.flac"


@asynccontextmanager
async def opened(store: ModelStore, **options: int) -> AsyncIterator[Asr]:
    async with plugin.open(plugin.options.model_validate(options), store) as asr:
        yield asr


def utterance(samples: Samples, number: int = 1, start: int = 0) -> list[AsrInput]:
    pieces = [Audio(samples[at : at + 320], start + at) for at in range(0, len(samples), 320)]
    end = start + len(samples)
    return [UtteranceStart(number, start), *pieces, Pause(number, end), UtteranceEnd(number)]


async def heard(asr: Asr, words: Iterable[AsrInput]) -> list[Transcript]:
    async def run(source: anyio.abc.ObjectReceiveStream[AsrInput], sink: Sink[Transcript]) -> None:
        await asr.run(ENGLISH, source, sink)

    return await fed(run, words)


def finals(transcripts: list[Transcript]) -> list[str]:
    return [transcript.text for transcript in transcripts if transcript.final]


@pytest.mark.speech
async def test_short_requests_are_understood(store: ModelStore, speech: Path) -> None:
    wanted = [
        (path, text)
        for path, text in texts(speech).items()
        if "/en_assistant/" in path and text and any(kind in path for kind in ("v2j", "g_", "in_"))
    ]
    errors = words = 0
    async with opened(store) as asr:
        for path, text in wanted[:12]:
            (final,) = finals(await heard(asr, utterance(clip(speech, path))))
            errors += word_errors(text, final)
            words += len(text.split())
    assert errors / words < 0.2


@pytest.mark.speech
async def test_partials_grow_and_keep_their_promises(store: ModelStore, speech: Path) -> None:
    promised, shown = "", 0
    async with opened(store) as asr:
        give, source = anyio.create_memory_object_stream[AsrInput](0)
        sink, received = anyio.create_memory_object_stream[Transcript](0)
        async with received, source, give, anyio.create_task_group() as tasks:
            tasks.start_soon(asr.run, ENGLISH, source, sink)
            spoken = utterance(clip(speech, ORDER))
            while len(spoken) > 2:
                piece, spoken = spoken[:25], spoken[25:]
                for word in piece:
                    await give.send(word)
                if isinstance(piece[-1], Audio) and piece[-1].end > samples_in(1200):
                    partial = await received.receive()
                    assert not partial.final
                    assert partial.text.startswith(promised)
                    promised, shown = partial.text[: partial.stable], shown + 1
                if any(isinstance(word, Pause) for word in spoken[:25]):
                    break
            for word in spoken:
                await give.send(word)
            await give.aclose()
            rest = [transcript async for transcript in received]
    assert shown >= 2
    assert promised
    assert finals(rest)


@pytest.mark.speech
async def test_a_final_tells_how_sure_its_comma_is(store: ModelStore, speech: Path) -> None:
    said = clip(speech, "dev/en_assistant/in_sample1.flac")
    async with opened(store) as asr:
        (begun,) = (
            one for one in await heard(asr, utterance(said[: samples_in(3168)])) if one.final
        )
        (whole,) = (one for one in await heard(asr, utterance(said)) if one.final)
    assert begun.goes_on is not None
    assert begun.goes_on > 0.85
    assert whole.goes_on is None


@pytest.mark.speech
async def test_every_pause_is_answered_once_and_a_resumed_turn_from_its_start(
    store: ModelStore, speech: Path
) -> None:
    first, second = clip(speech, BRIDGE), clip(speech, LAMP)
    gap = silence(samples_in(300))
    whole = np.concatenate((first, gap, second, gap))
    words = utterance(whole)
    pause = next(
        at for at, w in enumerate(words) if isinstance(w, Audio) and w.end > len(first) + len(gap)
    )
    words.insert(pause, Pause(1, len(first) + 2000))
    async with opened(store) as asr:
        said = [t for t in await heard(asr, words) if t.final]
    assert [final.upto for final in said] == [len(first) + 2000, len(whole)]
    assert "bridge" in said[0].text.lower()
    assert "lamp" not in said[0].text.lower()
    assert "bridge" in said[1].text.lower()
    assert "lamp" in said[1].text.lower()


@pytest.mark.speech
async def test_a_turn_longer_than_the_model_can_hear_loses_and_doubles_no_words(
    store: ModelStore, speech: Path
) -> None:
    known, gap = texts(speech), silence(samples_in(400))
    paths = ["ps_card4", "v2j_turn_on_living_room_lamp", "g_book_a_room", "in_sample2"]
    chosen = [f"dev/en_assistant/{name}.flac" for name in paths]
    pieces = [piece for path in chosen for piece in (clip(speech, path), gap)]
    text = " ".join(known[path] for path in chosen)
    async with opened(store, longest_ms=6000) as asr:
        (final,) = finals(await heard(asr, utterance(np.concatenate(pieces))))
    assert word_errors(text, final) <= len(text.split()) * 0.35
    assert final.lower().count("lamp") == 1


@pytest.mark.parametrize("loudness", [0.0, 0.0001, 0.001, 0.01, 0.1])
async def test_noise_has_no_words(store: ModelStore, loudness: float) -> None:
    noise = np.random.default_rng(0).normal(0, loudness, 32000).astype(np.float32)
    async with opened(store) as asr:
        assert finals(await heard(asr, utterance(noise))) == [""]


async def test_a_pause_of_an_unknown_utterance_is_answered_too(store: ModelStore) -> None:
    async with opened(store) as asr:
        answers = await heard(asr, [Pause(7, 100), UtteranceStart(8, 100), Pause(8, 100)])
    assert [(answer.utterance, answer.text) for answer in answers] == [(7, ""), (8, "")]


@pytest.mark.speech
async def test_calls_at_the_same_time_keep_their_words_apart(
    store: ModelStore, speech: Path
) -> None:
    said: dict[str, str] = {}
    async with opened(store) as asr, anyio.create_task_group() as tasks:

        async def call(path: str) -> None:
            for number in range(3):
                (said[path],) = finals(await heard(asr, utterance(clip(speech, path), number)))

        for path in (LAMP, BRIDGE, ORDER):
            tasks.start_soon(call, path)
    assert "lamp" in said[LAMP].lower()
    assert "bridge" in said[BRIDGE].lower()
    assert not {"lamp", "bridge"} & set(said[ORDER].lower().split())


@pytest.mark.speech
async def test_hanging_up_while_a_final_is_made_leaves_the_next_call_unharmed(
    store: ModelStore, speech: Path
) -> None:
    async with opened(store) as asr:
        with anyio.CancelScope() as hang_up:
            give, source = anyio.create_memory_object_stream[AsrInput](0)
            sink, received = anyio.create_memory_object_stream[Transcript](0)
            async with give, source, received, anyio.create_task_group() as tasks:
                tasks.start_soon(asr.run, ENGLISH, source, sink)
                for word in utterance(clip(speech, ORDER)):
                    await give.send(word)
                hang_up.cancel()
        (final,) = finals(await heard(asr, utterance(clip(speech, LAMP))))
    assert "lamp" in final.lower()


async def test_other_languages_are_refused_with_a_sentence(store: ModelStore) -> None:
    async with opened(store) as asr:
        give, source = anyio.create_memory_object_stream[AsrInput](0)
        sink, received = anyio.create_memory_object_stream[Transcript](0)
        async with give, source, received:
            with pytest.raises(Unusable, match="it understands English, not 'zh-CN'"):
                await asr.run(Hearing("zh-CN"), source, sink)
            with pytest.raises(anyio.EndOfStream):
                await received.receive()
