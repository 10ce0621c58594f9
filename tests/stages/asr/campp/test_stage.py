"""The stage in a call: partials, pauses, finals; and eight calls in one batch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from pydantic import ValidationError

from stages.asr.campp.decode.greedy import Greedy
from stages.asr.campp.decode.hypothesis import spelled
from stages.asr.campp.features import Fbank, Windows
from stages.asr.campp.geometry import NotAModel
from stages.asr.campp.graph import Graph
from stages.asr.campp.options import CamppOptions
from stages.asr.campp.stage import CamppAsr, open_campp, plugin
from stages.asr.campp.states import States
from stages.asr.campp.steps import Row, Steps
from stages.errors import Unusable, UserError
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
from stages.registry import find
from tests.stages.asr.campp.conftest import TINY, noise
from tests.stages.asr.campp.listening import stepped
from tests.stages.streams import fed

MANY = 8


@asynccontextmanager
async def opened(tmp_path: Path, **options: object) -> AsyncIterator[CamppAsr]:
    chosen = CamppOptions.model_validate({"model": str(TINY), "slots": MANY, **options})
    async with open_campp(chosen, ModelStore(tmp_path)) as asr:
        yield asr


def spoken(
    samples: Samples, start: int = 0, piece: int = 320, utterance: int = 1
) -> list[AsrInput]:
    """Return an utterance as the agent tells it, a pause at its end."""
    events: list[AsrInput] = [UtteranceStart(utterance, start)]
    places = range(0, len(samples), piece)
    events += [Audio(samples[at : at + piece], start + at) for at in places]
    return [*events, Pause(utterance, start + len(samples))]


async def heard(
    asr: CamppAsr, events: list[AsrInput], hearing: Hearing | None = None
) -> list[Transcript]:
    return await fed(partial(asr.run, hearing or Hearing()), events)


async def expected(graph: Graph, fbank: Fbank, samples: Samples) -> str:
    """Return the words of an utterance heard in one go, without stage or engine."""
    steps, windows = Steps(graph, States(graph.geometry, 1), 1), Windows(graph.geometry, fbank)
    decoder = Greedy(graph.tokens)
    for window in windows.hear(samples):
        await decoder.take(stepped(steps, [Row(0, window)])[0])
    rest = windows.rest()
    assert rest
    last = await decoder.look(stepped(steps, [Row(0, rest[0])])[0][: rest[1]])
    return spelled(last.pieces)


async def test_streaming_says_what_the_whole_utterance_says(
    tiny: Graph, fbank: Fbank, tmp_path: Path
) -> None:
    samples = noise(5.1)
    text = await expected(tiny, fbank, samples)
    assert len(text) > 10
    async with opened(tmp_path) as asr:
        for piece in (320, 512, 5120, 7000, 100_000):
            final = (await heard(asr, spoken(samples, piece=piece)))[-1]
            assert (final.text, final.final, final.stable) == (text, True, len(text))


@pytest.mark.parametrize("decode", ["greedy", "beam"])
async def test_what_a_partial_calls_stable_is_never_taken_back(
    decode: str, tmp_path: Path
) -> None:
    async with opened(tmp_path, decode=decode) as asr:
        for seed in range(3):
            told = await heard(asr, spoken(noise(6, seed)))
            partials = [one for one in told if not one.final]
            assert len(partials) > 5
            for index, one in enumerate(partials):
                for later in partials[index:]:
                    assert later.text.startswith(one.text[: one.stable])
            assert max(one.stable for one in partials) > (3 if decode == "greedy" else 0)


async def test_speech_that_goes_on_after_a_pause_is_heard_as_without_it(tmp_path: Path) -> None:
    samples = noise(4.2, 2)
    whole = spoken(samples)
    paused = [*whole[:100], Pause(1, 99 * 320), *whole[100:150], Pause(1, 149 * 320), *whole[150:]]
    async with opened(tmp_path) as asr:
        plain, broken = await heard(asr, whole), await heard(asr, paused)
    finals = [one for one in broken if one.final]
    assert [one.upto for one in finals] == [99 * 320, 149 * 320, len(samples)]
    assert finals[-1].text == plain[-1].text
    assert finals[-1].words == plain[-1].words


async def test_words_lie_where_they_were_said(tmp_path: Path) -> None:
    start = 48_000
    async with opened(tmp_path) as asr:
        final = (await heard(asr, spoken(noise(4), start)))[-1]
    assert final.words
    assert all(start <= word.start < word.end <= start + 64_000 for word in final.words)
    assert [word.start for word in final.words] == sorted(word.start for word in final.words)
    assert all((word.start - start) % 1280 == 0 for word in final.words)  # 80 ms frames
    assert "".join(word.text for word in final.words) == final.text.replace(" ", "")


async def test_every_pause_has_exactly_one_final_even_without_sound(tmp_path: Path) -> None:
    events: list[AsrInput] = [
        UtteranceStart(1, 0),
        Pause(1, 0),
        UtteranceEnd(1),
        Pause(1, 0),  # late: its utterance is forgotten
        *spoken(noise(0.1), utterance=2),
        Pause(2, 1600),
        UtteranceEnd(2),
    ]
    async with opened(tmp_path) as asr:
        told = await heard(asr, events)
    assert [(one.utterance, one.final) for one in told] == [(1, True), (2, True), (2, True)]
    assert told[0].text == ""


async def test_another_utterance_knows_nothing_of_the_first(tmp_path: Path) -> None:
    one, other = noise(3, 1), noise(3, 2)
    async with opened(tmp_path) as asr:
        alone = await heard(asr, spoken(other))
        after = await heard(asr, [*spoken(one), UtteranceEnd(1), *spoken(other, utterance=2)])
    assert after[-1].text == alone[-1].text
    assert after[-1].utterance == 2


async def test_eight_calls_at_once_are_one_batch_and_hear_what_each_hears_alone(
    tmp_path: Path,
) -> None:
    sounds = [noise(3, seed) for seed in range(MANY)]
    together: dict[int, str] = {}

    async def call(index: int) -> None:
        together[index] = (await heard(asr, spoken(sounds[index])))[-1].text

    async with opened(tmp_path) as asr:
        alone = [(await heard(asr, spoken(sound)))[-1].text for sound in sounds]
        async with anyio.create_task_group() as tasks:
            for index in range(MANY):
                tasks.start_soon(call, index)
        stats = asr.stats()
    assert [together[index] for index in range(MANY)] == alone
    assert MANY in stats.batch_sizes
    assert stats.slots_taken == 0
    assert stats.queued_most == MANY


async def test_a_call_slower_than_real_time_holds_nobody_up(tmp_path: Path) -> None:
    give, source = anyio.create_memory_object_stream[AsrInput](1)
    sink, told = anyio.create_memory_object_stream[Transcript](100)
    events = spoken(noise(2))
    async with (
        opened(tmp_path) as asr,
        source,
        give,
        told,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(asr.run, Hearing(), source, sink)
        for event in events[:40]:
            await give.send(event)  # and then nothing more for a while
        with anyio.fail_after(5):
            other = await heard(asr, events)
        for event in events[40:]:
            await give.send(event)
        await give.aclose()
        slow = [one async for one in told]
    assert slow[-1].text == other[-1].text


async def test_a_call_faster_than_real_time_loses_nothing_and_fills_no_queue(
    tmp_path: Path, tiny: Graph, fbank: Fbank
) -> None:
    samples = noise(40.1)
    async with opened(tmp_path) as asr:
        told = await heard(asr, spoken(samples, piece=len(samples)))
        queued = asr.stats().queued_most
    assert told[-1].text == await expected(tiny, fbank, samples)
    assert queued == 1  # one packet of a call at a time, however fast it comes


async def test_sound_that_is_none_ends_its_own_call_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as asr:
        with pytest.RaisesGroup(Unusable, flatten_subgroups=True):
            await heard(asr, spoken(noise(1) * float("nan")))
        assert (await heard(asr, spoken(noise(1))))[-1].final
        assert asr.stats().slots_taken == 0


async def test_a_calls_hotwords_draw_its_words_to_them_and_no_other_calls(tmp_path: Path) -> None:
    async with opened(tmp_path, hotword_bonus=12.0, candidates=60) as asr:
        plain = (await heard(asr, spoken(noise(5))))[-1].text
        assert "丁丂" not in plain
        hotwords = Hearing(hotwords=("丁丂",))
        assert "丁丂" in (await heard(asr, spoken(noise(5)), hotwords))[-1].text
        assert (await heard(asr, spoken(noise(5))))[-1].text == plain


async def test_silence_is_heard_without_failing(tmp_path: Path) -> None:
    async with opened(tmp_path) as asr:
        assert (await heard(asr, spoken(noise(2) * 0)))[-1].final


async def test_it_is_found_by_its_name() -> None:
    assert find("asr", "campp") is plugin
    assert plugin.models(CamppOptions(model="campp-small")) == ("campp-small",)
    assert plugin.models(CamppOptions(model="./own.onnx")) == ()


async def test_a_model_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(b"no")
    with pytest.raises(NotAModel):
        async with open_campp(CamppOptions(model=str(tmp_path / "own.onnx")), ModelStore(tmp_path)):
            pass
    with pytest.raises(UserError, match="campp-nobody"):
        async with open_campp(CamppOptions(model="campp-nobody"), ModelStore(tmp_path)):
            pass


async def test_an_utterance_that_is_over_by_the_rules_is_told_once(tmp_path: Path) -> None:
    async with opened(tmp_path, endpoint_longest_s=1.5) as asr:
        told = await heard(asr, spoken(noise(4)))
    ends = [one for one in told if one.endpoint]
    assert [one.upto for one in ends] == [5 * 5120]  # the first packet that ends after 1.5 s
    assert not told[-1].endpoint


async def test_rescoring_that_would_do_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="rescoring_weight does nothing without rescoring"):
        CamppOptions(model=str(TINY), rescoring_weight=0.3)
    with pytest.raises(ValidationError, match="knows one reading only"):
        CamppOptions(model=str(TINY), decode="wfst", rescoring=tmp_path / "other.arpa")
    with pytest.raises(UserError, match=r"does nothing with asr\.rescoring_weight 0"):
        async with opened(tmp_path, rescoring=tmp_path / "other.arpa", rescoring_weight=0):
            pass
