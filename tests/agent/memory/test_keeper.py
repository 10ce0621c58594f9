"""Memories are kept beside the calls: bounded, in time, and never in anybody's way."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from agent.memory.block import sum_up
from agent.memory.keeper import WAITING, open_memories, summary_of
from agent.memory.record import SUMMARY, exchange
from agent.memory.store import MemoryBook
from agent.speakers import SpeakerBook
from stages.contracts import Sink
from stages.errors import StageError, Transient, Unusable
from stages.events import ChatRequest, LlmEvent, Message, TextDelta
from tests.agent.memory.test_in_calls import bare
from tests.agent.memory.test_store import NOW, remembered
from tests.agent.test_speakers import one

REQUEST = sum_up(remembered(), "en")


@dataclass
class Model:
    """Says these pieces, then fails, hangs, or is done."""

    pieces: tuple[str, ...] = ("Likes ", "tea.")
    then: StageError | Exception | None = None
    hangs: bool = False
    floods: bool = False
    writes_summaries: bool = True
    closed: anyio.Event = field(default_factory=anyio.Event)

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """There is nothing to get ready."""

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        try:
            async with sink:
                for piece in self.pieces:
                    await sink.send(TextDelta(piece))
                while self.floods:
                    await sink.send(TextDelta("tea and "))
                if self.hangs:
                    await anyio.sleep_forever()
                if self.then is not None:
                    raise self.then
        finally:
            self.closed.set()


async def test_a_summary_is_what_the_model_says() -> None:
    assert await summary_of(Model(), REQUEST, 5) == "Likes tea."


@pytest.mark.parametrize(
    "model",
    [
        Model(then=Transient("llm model", "the server is gone")),
        Model(then=Unusable("llm model", "the key is wrong")),
        Model(then=ValueError("a slip of a plug-in")),
        Model(hangs=True),
        Model(pieces=("  ",)),
        Model(writes_summaries=False),
    ],
)
async def test_one_that_fails_hangs_or_cannot_be_trusted_gives_none(model: Model) -> None:
    assert await summary_of(model, REQUEST, 0.05) == ""


async def test_one_that_hangs_or_never_ends_is_let_go_of() -> None:
    for model in (Model(hangs=True), Model(floods=True)):
        said = await summary_of(model, REQUEST, 0.05 if model.hangs else 5)
        assert len(said) < 3 * SUMMARY
        assert model.closed.is_set()



async def test_too_many_at_once_refuse_the_newest_and_count(tmp_path: Path) -> None:
    await anyio.to_thread.run_sync(SpeakerBook(tmp_path).put, one("Anna"))
    profile, model = bare(), Model()
    async with open_memories(tmp_path) as memories:
        for number in range(WAITING + 5):  # no await: the writer has no turn to take any
            said = exchange("c1", number, NOW, ("hello", "hi"), False)
            memories.keep("Anna", profile, model, said)
        assert memories.dropped == 5


async def test_a_cancelled_server_keeps_its_last_turn_and_sums_up_after_the_next_call(
    tmp_path: Path,
) -> None:
    await anyio.to_thread.run_sync(SpeakerBook(tmp_path).put, one("Anna"))
    profile = bare(turns=1)
    with anyio.CancelScope() as scope:
        async with open_memories(tmp_path) as memories:
            for number in (1, 2):
                said = exchange("c1", number, NOW, (f"turn {number}", "hi"), False)
                memories.keep("Anna", profile, Model(hangs=True), said)
            memories.call_over("c1")
            scope.cancel()
            await anyio.sleep_forever()
    [memory] = await anyio.to_thread.run_sync(MemoryBook(tmp_path).all)
    assert [[each.caller for each in some] for some in (memory.fallen, memory.turns)] == [
        ["turn 1"], ["turn 2"],
    ]  # fmt: skip
    assert memory.dropped == 0


async def test_a_folder_that_may_not_be_looked_into_costs_one_warning_and_not_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with open_memories(tmp_path / ("long" * 100)):
            pass
    [warning] = [entry.getMessage() for entry in caplog.records]
    assert "memory.sqlite cannot be read: File name too long. Calls go on." in warning


async def test_a_disk_that_takes_nothing_costs_one_warning_and_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await anyio.to_thread.run_sync(SpeakerBook(tmp_path).put, one("Anna"))
    (tmp_path / "memory.sqlite").mkdir()
    with caplog.at_level(logging.WARNING):
        async with open_memories(tmp_path) as memories:
            for number in (1, 2):
                said = exchange("c1", number, NOW, ("hello", "hi"), False)
                memories.keep("Anna", bare(), Model(), said)
    assert memories.lost == 2
    [warning] = [entry.getMessage() for entry in caplog.records]
    assert warning.startswith(f"Nothing is remembered: {tmp_path}/memory.sqlite cannot be written")
    assert warning.endswith("Calls go on.")
