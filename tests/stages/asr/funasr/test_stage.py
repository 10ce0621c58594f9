"""The real FunASR with tiny models: two passes, refusals, and what it must not swallow."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import psutil
import pytest
from anyio.abc import TaskStatus
from anyio.streams.memory import MemoryObjectSendStream
from pydantic import ValidationError

from stages.asr.funasr.options import FunasrOptions, models_of
from stages.asr.funasr.stage import FunasrAsr, open_funasr
from stages.errors import ModelCorrupt, ModelMissing, PluginUnavailable, Transient, Unusable
from stages.events import (
    SAMPLE_RATE,
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
from tests.stages.asr.funasr.conftest import alphabets
from tests.stages.clips import clip
from tests.stages.file_server import Files, serving
from tests.stages.hub_server import Repository
from tests.stages.streams import fed
from tests.stages.trap import Trap

pytestmark = pytest.mark.timeout(300)  # importing FunASR alone takes 10 to 40 s
PIECE = 320


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def asr(tiny: Path, anyio_backend: str) -> AsyncIterator[FunasrAsr]:
    async with opened(tiny) as stage:
        yield stage


@asynccontextmanager
async def opened(tiny: Path, **more: Any) -> AsyncIterator[FunasrAsr]:
    usual = {
        "streaming": str(tiny / "streaming"),
        "offline": str(tiny / "offline"),
        "punctuation": str(tiny / "punctuation"),
    }
    options = FunasrOptions(**(usual | more))
    async with open_funasr(options, ModelStore(tiny)) as stage:
        yield stage


def speech_of(speech: Path) -> Samples:
    return clip(speech, "dev/zh/funasr_asr_example.flac")[: 4 * SAMPLE_RATE]


def noise(seconds: float) -> Samples:
    wave = np.random.default_rng(3).normal(0, 0.1, int(seconds * SAMPLE_RATE))
    return wave.astype(np.float32)


def utterance(samples: Samples, number: int = 1, start: int = 0) -> list[AsrInput]:
    pieces = [Audio(samples[at : at + PIECE], start + at) for at in range(0, len(samples), PIECE)]
    end = start + len(samples)
    return [UtteranceStart(number, start), *pieces, Pause(number, end)]


async def heard(asr: FunasrAsr, items: list[AsrInput], **hearing: Any) -> list[Transcript]:
    return await fed(lambda source, sink: asr.run(Hearing(**hearing), source, sink), items)


async def test_partials_come_from_one_model_and_the_final_from_the_other(
    asr: FunasrAsr, speech: Path
) -> None:
    samples = speech_of(speech)
    begin, *rest = utterance(samples)
    give, source = anyio.create_memory_object_stream[AsrInput](0)
    sink, words = anyio.create_memory_object_stream[Transcript](16)
    async with anyio.create_task_group() as tasks, words:
        tasks.start_soon(asr.run, Hearing("zh-CN", ("魔搭",)), source, sink)
        async with give:
            await give.send(begin)
            for item in rest[:120]:
                await give.send(item)
            first = await words.receive()
            assert not first.final
            assert first.text
            assert first.stable == len(first.text)
            for item in rest[120:]:
                await give.send(item)
        later = [word async for word in words]
    final = later[-1]
    assert final.final
    assert final.upto == len(samples)
    assert all(mark in "，。？、<unk>_" or mark.isalnum() for mark in final.text)
    assert not final.text.startswith(first.text)
    assert [word.final for word in later].count(True) == 1


async def test_an_utterance_that_goes_on_is_heard_again_from_its_start(
    asr: FunasrAsr, speech: Path
) -> None:
    samples = speech_of(speech)
    half = len(samples) // 2 // PIECE * PIECE
    items = utterance(samples[:half])
    items += [Audio(samples[at : at + PIECE], at) for at in range(half, len(samples), PIECE)]
    items += [Pause(1, len(samples)), UtteranceEnd(1)]
    finals = [word for word in await heard(asr, items) if word.final]
    (alone,) = [word for word in await heard(asr, utterance(samples)) if word.final]
    assert [word.upto for word in finals] == [half, len(samples)]
    assert finals[1].text == alone.text


async def test_calls_at_once_hear_what_each_would_hear_alone(asr: FunasrAsr, speech: Path) -> None:
    whole = speech_of(speech)
    callers = [whole[: 2 * SAMPLE_RATE], whole[2 * SAMPLE_RATE :], noise(1.5)]
    alone = [(await heard(asr, utterance(samples)))[-1].text for samples in callers]
    together: dict[int, str] = {}

    async def call(number: int) -> None:
        together[number] = (await heard(asr, utterance(callers[number])))[-1].text

    async with anyio.create_task_group() as tasks:
        for number in range(len(callers)):
            tasks.start_soon(call, number)
    assert [together[number] for number in range(len(callers))] == alone


async def test_too_short_a_sound_has_an_empty_final(asr: FunasrAsr) -> None:
    (final,) = await heard(asr, utterance(noise(0.04)))
    assert final.final
    assert final.text == ""


async def test_every_pause_has_its_final_even_one_of_an_utterance_that_is_over(
    asr: FunasrAsr,
) -> None:
    items: list[AsrInput] = [Pause(9, 100), *utterance(noise(0.5)), UtteranceEnd(1), Pause(1, 9)]
    finals = [word for word in await heard(asr, items) if word.final]
    assert [(word.utterance, word.upto) for word in finals] == [(9, 100), (1, 8000), (1, 9)]


async def test_four_calls_are_heard_at_once_and_the_fifth_is_refused(
    asr: FunasrAsr, speech: Path
) -> None:
    """That four stay real time is shown by callers, in tests/web/test_funasr.py."""
    begin, *rest = utterance(speech_of(speech))
    finals: list[str] = []

    async def call(
        asr: FunasrAsr, *, task_status: TaskStatus[MemoryObjectSendStream[AsrInput]]
    ) -> None:
        give, source = anyio.create_memory_object_stream[AsrInput](0)
        sink, words = anyio.create_memory_object_stream[Transcript](64)
        async with anyio.create_task_group() as tasks, words:
            tasks.start_soon(asr.run, Hearing("zh"), source, sink)
            await give.send(begin)  # nothing is buffered: the call is under way
            task_status.started(give)
            finals.extend([word.text async for word in words if word.final])

    four = FunasrAsr(asr.options, asr.streaming, asr.offline, capacity=4)
    async with anyio.create_task_group() as tasks:
        lines = [await tasks.start(call, four) for _ in range(4)]
        assert four.calls == 4
        refusal = pytest.RaisesExc(
            Unusable, match="4 calls are being recognised, and this machine keeps up with no"
        )
        with pytest.RaisesGroup(refusal, flatten_subgroups=True):
            await heard(four, [])
        async with anyio.create_task_group() as feeding:
            for line in lines:
                feeding.start_soon(_all, line, rest)
    assert four.calls == 0
    assert four.skipped <= 4  # fed so fast, partials may go without
    await heard(four, utterance(noise(0.5)))  # and now there is room again
    assert len(finals) == 4
    assert len(set(finals)) == 1


async def _all(line: MemoryObjectSendStream[AsrInput], items: list[AsrInput]) -> None:
    async with line:
        for item in items:
            await line.send(item)


async def test_without_a_second_model_the_streaming_one_gives_the_final_and_can_go_on(
    tiny: Path, speech: Path
) -> None:
    samples = speech_of(speech)
    async with opened(tiny, offline="", punctuation="") as asr:
        words = await heard(asr, [*utterance(samples), Pause(1, len(samples)), UtteranceEnd(1)])
    first, second = [word for word in words if word.final]
    assert first.text
    assert first.text == second.text


async def test_sensevoice_gives_finals_without_its_tags(tiny: Path, speech: Path) -> None:
    """Laid out as the published one: ``configuration.json`` names its files."""
    async with opened(tiny, streaming="", offline=str(tiny / "sense"), punctuation="") as asr:
        samples = speech_of(speech)
        [final] = await heard(asr, utterance(samples), language="zh-CN")
        [again] = await heard(asr, utterance(samples), language="xx")  # it finds out for itself
    assert final.text
    assert "<|" not in final.text + again.text
    assert {mark for mark in final.text if "\u4e00" <= mark <= "\u9fff"} <= alphabets()[1]


async def test_a_worker_that_is_killed_is_replaced(tiny: Path) -> None:
    async with opened(tiny, streaming="", punctuation="") as asr:
        assert asr.offline is not None
        (child,) = [
            process
            for process in psutil.Process().children()
            if any("worker.py" in word for word in process.cmdline())
            and "streaming" not in str(process.open_files())
        ][-1:]
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(Transient, match="its process died over this step"):
            await asr.offline.ask({"do": "whole"}, noise(1))
        assert await asr.offline.ask({"do": "whole"}, noise(1))
        assert asr.offline.restarts == 1


# --- what it loads --------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    with serving(Files({})) as files:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", files.url)
        yield files


def offered(hub: Files, folder: Path, repository: str) -> dict[str, bytes]:
    """Put a model on a local ModelScope, with what a real repository has besides."""
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    beside = {"README.md": b"# a model", "model.py": b"raise SystemExit('nobody runs this')"}
    Repository("modelscope", hub, repository).offer(files | beside)
    return files


def on_hub(streaming: str = "acme/streaming", offline: str = "acme/offline") -> FunasrOptions:
    return FunasrOptions(streaming=streaming, offline=offline, punctuation="")


async def test_models_come_by_their_hub_names_verified_and_hear_in_two_passes(
    tiny: Path, tmp_path: Path, speech: Path, hub: Files
) -> None:
    for one in ("streaming", "offline"):
        offered(hub, tiny / one, f"acme/{one}")
    options, store = on_hub(), ModelStore(tmp_path)
    assert models_of(options) == ("modelscope:acme/streaming", "modelscope:acme/offline")
    await store.pull(models_of(options))
    async with open_funasr(options, store) as asr:
        words = await heard(asr, utterance(speech_of(speech)))
    streaming, offline = alphabets()
    assert {mark for word in words if not word.final for mark in word.text} <= streaming
    assert set(words[-1].text.replace("<unk>", "")) <= offline
    assert words[-1].text


async def test_a_model_of_the_hub_that_was_changed_on_disk_is_not_loaded(
    tiny: Path, tmp_path: Path, hub: Files
) -> None:
    offered(hub, tiny / "offline", "acme/offline")
    options, store = on_hub(streaming=""), ModelStore(tmp_path)
    with pytest.raises(ModelMissing, match="get it with: firstword models pull modelscope:acme"):
        async with open_funasr(options, store):
            pytest.fail("it was loaded")
    await store.pull(models_of(options))
    (tmp_path / "modelscope--acme--offline" / "tokens.json").write_text("[]")
    with pytest.raises(ModelCorrupt, match=r"tokens\.json is not the file that FirstWord knows"):
        async with open_funasr(options, store):
            pytest.fail("it was loaded")


def test_short_names_are_those_of_the_catalogue_and_of_either_hub() -> None:
    assert [ModelStore().known(name).name for name in models_of(FunasrOptions())] == [
        "paraformer-zh-streaming",
        "paraformer-zh",
        "ct-punc",
    ]
    sense = FunasrOptions(streaming="", offline="SenseVoiceSmall", punctuation="")
    assert ModelStore().known(*models_of(sense)).name == "sensevoice-small"
    elsewhere = FunasrOptions(streaming="", offline="SenseVoiceSmall", punctuation="", hub="hf")
    assert models_of(elsewhere) == ("huggingface:FunAudioLLM/SenseVoiceSmall",)
    assert models_of(FunasrOptions(streaming="./here", offline="~/there", punctuation="")) == ()


# --- what it refuses to load ----------------------------------------------------------------


async def test_weights_that_do_not_fit_their_network_are_refused(
    tiny: Path, tmp_path: Path
) -> None:
    other = tmp_path / "offline"
    other.mkdir()
    for name in ("tokens.json", "am.mvn", "model.pt"):
        (other / name).symlink_to(tiny / "offline" / name)
    config = (tiny / "offline" / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("linear_units: 64", "linear_units: 48"))
    with pytest.raises(PluginUnavailable) as refused:
        async with opened(tiny, streaming="", offline=str(other)):
            pytest.fail("it was loaded")
    told = str(refused.value)
    assert told.startswith(
        f"The asr stage 'funasr' cannot be used: the weights in {other}/model.pt do not fit the"
        " network that its config.yaml describes: "
    )
    assert re.search(r"\d+ of another shape \(.+, .+, .+ and \d+ more\)\.$", told)


async def test_weights_that_lack_keys_are_refused_with_the_names_of_some(
    tiny: Path, tmp_path: Path
) -> None:
    other = tmp_path / "offline"
    other.mkdir()
    for name in ("tokens.json", "am.mvn", "model.pt"):
        (other / name).symlink_to(tiny / "offline" / name)
    config = (tiny / "offline" / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("num_blocks: 2", "num_blocks: 3"))
    with pytest.raises(PluginUnavailable, match=r"missing \(decoder\.decoders.* and \d+ more\)"):
        async with opened(tiny, streaming="", offline=str(other)):
            pytest.fail("it was loaded")


async def test_a_folder_that_is_no_model_and_one_that_is_not_there_are_told_apart(
    tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(PluginUnavailable, match=r"holds no FunASR model: there is no config\.yaml"):
        async with opened(tiny, streaming="", offline=str(tmp_path)):
            pytest.fail("it was loaded")
    with pytest.raises(PluginUnavailable, match="there is no folder"):
        async with opened(tiny, streaming="", offline=str(tmp_path / "nothing")):
            pytest.fail("it was loaded")


async def test_a_model_that_takes_too_long_to_load_is_given_up(tiny: Path) -> None:
    with pytest.raises(PluginUnavailable, match=r"offline' was not there after 0\.1 s"):
        async with opened(tiny, streaming="", load_s=0.1):
            pytest.fail("it was loaded")


async def test_weights_that_hold_code_are_refused_and_the_code_is_not_run(
    tiny: Path, tmp_path: Path
) -> None:
    ran, other = tmp_path / "ran", tmp_path / "offline"
    other.mkdir()
    for name in ("tokens.json", "am.mvn", "config.yaml"):
        (other / name).symlink_to(tiny / "offline" / name)
    (other / "model.pt").write_bytes(pickle.dumps(Trap(str(ran))))
    with pytest.raises(PluginUnavailable) as refused:
        async with opened(tiny, streaming="", offline=str(other)):
            pytest.fail("it was loaded")
    assert str(refused.value) == (
        f"The asr stage 'funasr' cannot be used: the weights in {other} are not weights alone,"
        " and are not loaded."
    )
    assert not ran.exists()


def test_options_that_name_no_model_are_refused() -> None:
    with pytest.raises(ValidationError, match="names no model"):
        FunasrOptions(streaming="", offline="")
    assert json.loads(FunasrOptions().model_dump_json())["chunk_ms"] == 600


def test_a_name_that_can_be_no_model_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValidationError) as refused:
        FunasrOptions(offline="paraformer-xy")
    assert (
        "there is no model 'paraformer-xy': name a folder (/…, ~/… or ./…), a repository of the"
        " hub (owner/name), or one of SenseVoiceSmall, ct-punc, ct-punc-c, paraformer-en,"
        " paraformer-zh, paraformer-zh-streaming"
    ) in str(refused.value)
