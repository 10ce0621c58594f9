"""A second recogniser that hears an utterance when it has ended: what the final costs then."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from num2words import num2words
from pydantic import ValidationError

from stages import registry
from stages.asr.campp.training import sound
from stages.asr.campp.training.manifest import Clip
from stages.asr.campp.training.text import normalised
from stages.contracts import Asr
from stages.errors import UserError
from stages.events import (
    SAMPLE_RATE,
    AsrInput,
    Audio,
    Hearing,
    Pause,
    Samples,
    Transcript,
    UtteranceStart,
)
from stages.models import ModelStore

PATIENCE = 60.0
"""Seconds for one final."""

QUEUED = 8
"""Events between us and the recogniser."""

PIECE = SAMPLE_RATE // 5
"""Samples of one event of sound."""

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Finals:
    """What a recogniser made of clips, and how long each took from its pause."""

    texts: tuple[str, ...]
    ms: tuple[float, ...]


def check(engine: str, store: ModelStore | None = None) -> None:
    """Refuse a recogniser that is not installed, or whose model is not in the store.

    Raises:
        UserError: with the command that brings it.
    """
    plugin = registry.find("asr", engine)
    try:
        options = plugin.options.model_validate({})
    except ValidationError as error:
        needed = ", ".join(str(one["loc"][0]) for one in error.errors() if one["loc"])
        raise UserError(
            f"--second: {engine} cannot be opened without settings ({needed});"
            " name another, or none."
        ) from error
    for name in plugin.models(options):
        (store or ModelStore()).path(name)


def second(engine: str, clips: Sequence[Clip]) -> Finals:
    """Let another recogniser hear clips, each in one piece as its pause asks for it.

    Raises:
        UserError: it is not installed, or its model is not in the store.
        TimeoutError: a final did not come.
    """
    return anyio.run(_second, engine, clips)


def spelled_out(text: str) -> str:
    """Return a text as references are written: small letters, numbers in words, no marks."""
    words = _DIGITS.sub(lambda found: f" {num2words(int(found[0]))} ", text)
    return normalised(words.replace("%", " percent"))


async def _second(engine: str, clips: Sequence[Clip]) -> Finals:
    plugin = registry.find("asr", engine)
    options = plugin.options.model_validate({})
    texts, times = [], []
    async with plugin.open(options, ModelStore()) as asr:
        for number, clip in enumerate(clips):
            text, ms = await _final(asr, number, sound.load(clip.file))
            texts.append(spelled_out(text))
            times.append(ms)
    return Finals(tuple(texts), tuple(times))


async def _final(asr: Asr, number: int, samples: Samples) -> tuple[str, float]:
    give, source = anyio.create_memory_object_stream[AsrInput](QUEUED)
    sink, take = anyio.create_memory_object_stream[Transcript](QUEUED)
    events: list[AsrInput] = [UtteranceStart(number, 0)]
    events += [Audio(samples[at : at + PIECE], at) for at in range(0, len(samples), PIECE)]
    events.append(Pause(number, len(samples)))
    text, ended = "", 0.0
    with anyio.fail_after(PATIENCE):
        async with give, source, sink, take, anyio.create_task_group() as tasks:
            began = time.perf_counter()
            tasks.start_soon(asr.run, Hearing(), source, sink)
            tasks.start_soon(_send, events, give)
            async for transcript in take:
                if transcript.final:
                    text, ended = transcript.text, time.perf_counter()
                    break
            tasks.cancel_scope.cancel()
    return text, (ended - began) * 1000


async def _send(events: Sequence[AsrInput], give: MemoryObjectSendStream[AsrInput]) -> None:
    for event in events:
        await give.send(event)
