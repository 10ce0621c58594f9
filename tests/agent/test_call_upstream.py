"""A caller who takes the word ends the work of others, too: nobody thinks or speaks on in vain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio

from agent.engines import Mouth, Stages
from agent.messages import Flush, HoldWord, Playing, Reply, ReplyEnd, Say
from stages.events import Voice
from stages.llm.openai import OpenaiOptions
from stages.llm.openai import plugin as openai
from stages.models import ModelStore
from tests.agent.calling import calling, tone
from tests.agent.speaking import Mind, Voiced
from tests.servers.chat import chat_server, delta, falls_silent

STORY = "Once upon a time there was a ship. It sailed to the end of the sea, and further. "


async def test_an_interruption_closes_the_request_to_the_chat_server(tmp_path: Path) -> None:
    async with chat_server(falls_silent(delta(STORY))) as server:
        options = OpenaiOptions.model_validate({"base_url": server.url, "model": "m"})
        async with (
            openai.open(options, ModelStore(tmp_path)) as llm,
            calling(tmp_path, change=lambda stages: replace(stages, llm=llm)) as running,
        ):
            await running.page.wait_for(ReplyEnd)
            running.line.write(Say(text="tell me a story"))
            await running.page.wait_for(Playing, 2)
            assert not server.gone.is_set()
            running.line.say(tone(1.2))
            with anyio.fail_after(10):
                await server.gone.wait()
            end = await running.page.wait_for(ReplyEnd, 2)
            assert end.interrupted
            assert STORY.startswith(end.heard)


async def test_an_interruption_stops_the_voice_in_the_middle_of_a_clause(tmp_path: Path) -> None:
    mind, voice = Mind((STORY,), hangs=True), Voiced(0)

    def change(stages: Stages) -> Stages:
        return replace(stages, llm=mind, mouths=(Mouth("stuck", voice, Voice()),))

    async with calling(tmp_path, change=change) as running:
        running.line.write(Say(text="tell me a story"))
        with anyio.fail_after(10):
            await voice.silent.wait()
        running.line.write(Say(text="stop"))
        with anyio.fail_after(10):
            await mind.closed.wait()
        ends = [end for end in running.page.all(ReplyEnd) if end.turn == 1]
        assert [end.heard for end in ends] == [""]


async def test_a_reply_that_never_sounded_ends_without_a_flush(tmp_path: Path) -> None:
    mind = Mind((), hangs=True)
    async with calling(tmp_path, change=lambda stages: replace(stages, llm=mind)) as running:
        await running.page.wait_for(ReplyEnd)
        running.line.write(Say(text="tell me a story"))
        running.line.write(Say(text="no, a joke"))
        end = await running.page.wait_for(ReplyEnd, 2)
        assert (end.heard, end.interrupted) == ("", True)
        assert running.page.all(Flush) == []


async def test_a_sound_holds_the_reply_before_speech_ends_it(tmp_path: Path) -> None:
    async with calling(tmp_path) as running:
        await running.page.wait_for(ReplyEnd)
        running.line.write(Say(text=STORY))
        playing = await running.page.wait_for(Playing, 2)
        running.line.say(tone(1.2))
        flush = await running.page.wait_for(Flush)
        told = running.page.messages
        [hold] = running.page.all(HoldWord)
        assert hold.reply == flush.reply == playing.reply
        assert told.index(hold) < told.index(flush)
        assert running.page.all(Reply)
