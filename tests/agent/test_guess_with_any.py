"""A guess that is dropped, then one that is right: with every ASR and LLM that can run here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.engines import Stages
from agent.messages import Playing, Reply
from agent.profile import Profile, Shelf
from stages.audio import samples_in, silence
from stages.contracts import Llm, Sink
from stages.events import ChatRequest, LlmEvent, Message, Samples
from stages.models import ModelStore
from tests.agent.calling import calling, tone
from tests.servers.chat import chat_server, says
from tests.stages.asr.campp.conftest import TINY, noise
from tests.stages.clips import clip

CAMPP = {"engine": "campp", "model": str(TINY), "slots": 2}
SCRIPTED = {"engine": "scripted", "lines": ["I would like|I would like a cake, please."]}
ASRS: dict[str, dict[str, Any]] = {
    "scripted": SCRIPTED,
    "campp": CAMPP,
    "two_pass": {"engine": "two_pass", "partials": SCRIPTED, "finals": CAMPP},
    "moonshine": {"engine": "moonshine"},
}
LLMS: dict[str, dict[str, Any]] = {
    "echo": {"engine": "echo"},
    "openai": {"engine": "openai", "model": "m"},
    "smollm": {"engine": "smollm", "slots": 2, "temperature": 0.0, "max_tokens": 24},
}
PAUSE_MS = 3_000
"""Before an endpoint: the words of a pause, on busy cores, too, come sooner."""
PACE_S = {"moonshine": 0.02}
"""Seconds between two frames of 20 ms, where a recogniser wants real time; else ``FAST_S``."""
FAST_S = 0.006


@dataclass
class Asked:
    """An LLM that tells when it is asked."""

    llm: Llm
    times: int = 0
    _again: anyio.Event = field(default_factory=anyio.Event)

    async def warm(self, messages: tuple[Message, ...]) -> None:
        await self.llm.warm(messages)

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        self.times += 1
        self._again.set()
        await self.llm.run(request, sink)

    async def for_a_reply(self, times: int) -> None:
        with anyio.fail_after(15):
            while self.times < times:
                self._again = anyio.Event()
                await self._again.wait()


def character(folder: Path, asr: str, llm: str, url: str) -> Profile:
    chosen = LLMS[llm] | ({"base_url": url} if llm == "openai" else {})
    turn = {"confident_ms": PAUSE_MS, "doubtful_ms": PAUSE_MS, "cap_ms": PAUSE_MS}
    sections = {"extends": "bare", "greeting": "", "asr": ASRS[asr], "llm": chosen, "turn": turn}
    (folder / "any.yaml").write_text(json.dumps(sections), encoding="utf-8")  # YAML knows JSON
    return Shelf((folder, Path(__file__).resolve().parents[2] / "profiles")).load("any")


def sound(asr: str, request: pytest.FixtureRequest) -> Samples:
    """Return what this recogniser takes for words."""
    if asr == "moonshine":
        return clip(request.getfixturevalue("speech"), "dev/en_assistant/g_book_a_room.flac")
    return tone(1.0) if asr == "scripted" else noise(1.5)


@asynccontextmanager
async def chat(llm: str) -> AsyncIterator[str]:
    """Run a chat server, where one is wanted; give its address."""
    async with AsyncExitStack() as stack:
        if llm != "openai":
            yield ""
            return
        server = await stack.enter_async_context(chat_server(says("That ", "is ", "fine.")))
        yield server.url


def pairs() -> list[Any]:
    """Give each recogniser with each LLM that needs no model, and the models with some of them."""
    model, human = [pytest.mark.model], [pytest.mark.speech, pytest.mark.model]
    free = product(("scripted", "campp", "two_pass"), ("echo", "openai"))
    plain = [pytest.param(*pair) for pair in free]
    spoken = [pytest.param("moonshine", llm, marks=human) for llm in ("echo", "smollm")]
    return [*plain, pytest.param("scripted", "smollm", marks=model), *spoken]


@pytest.mark.timeout(40)  # opening the models takes some seconds of it
@pytest.mark.parametrize(("asr", "llm"), pairs())
async def test_a_guess_is_dropped_without_a_trace_and_the_next_is_there_at_the_endpoint(
    tmp_path: Path, request: pytest.FixtureRequest, asr: str, llm: str
) -> None:
    needs_models = asr == "moonshine" or llm == "smollm"
    store: ModelStore | None = request.getfixturevalue("store") if needs_models else None
    said, minds = sound(asr, request), list[Asked]()

    def change(stages: Stages) -> Stages:
        minds.append(Asked(stages.llm))
        return replace(stages, llm=minds[0])

    async with chat(llm) as url:
        profile = character(tmp_path, asr, llm, url)
        pace = PACE_S.get(asr, FAST_S)
        async with calling(tmp_path, profile, change, pace=pace, store=store) as running:
            [mind] = minds
            running.line.say(said)
            await mind.for_a_reply(1)
            running.line.say(said)  # the caller goes on
            running.line.say(silence(samples_in(PAUSE_MS)))
            await running.page.wait_for(Playing)
        told = [message.role for message in running.call.history]
    [record] = running.records
    assert record.speculation is not None
    assert (record.speculation.tries, record.speculation.hit) == (2, True)
    assert record.user_text
    assert (record.turn, mind.times) == (1, 2)
    assert {shown.reply for shown in running.page.all(Reply)} == {record.reply}
    assert told[0] == "user"
    assert told.count("user") == 1
