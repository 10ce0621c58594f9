from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import anyio

from stages.events import ChatRequest, Message, TextDelta
from stages.models import ModelStore
from stages.registry import find
from tests.stages.streams import gathered, text

TALK = (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Yes?"))


async def reply(said: str, max_tokens: int = 256, **options: Any) -> list[TextDelta]:
    plugin = find("llm", "echo")
    async with plugin.open(plugin.options(**options), ModelStore(Path())) as llm:
        request = ChatRequest((*TALK, Message("user", said)), max_tokens=max_tokens)
        await llm.warm(TALK)
        return await gathered(partial(llm.run, request))


async def test_it_says_the_callers_words_back_word_by_word() -> None:
    deltas = await reply("nice weather today")
    assert text(deltas) == "You said: nice weather today"
    assert [delta.text for delta in deltas][:3] == ["You ", "said: ", "nice "]


async def test_chinese_comes_character_by_character() -> None:
    assert [delta.text for delta in await reply("你好", reply="{text}。")] == ["你", "好", "。"]


async def test_the_template_is_the_profiles_and_braces_of_the_caller_are_just_text() -> None:
    assert text(await reply("{text} {0}", reply="Copy: {text} over")) == "Copy: {text} {0} over"


async def test_no_more_tokens_come_than_were_asked_for() -> None:
    assert text(await reply("one two three", max_tokens=3)) == "You said: one "


async def test_hanging_up_does_not_wait_for_a_slow_word() -> None:
    with anyio.move_on_after(0.05) as scope:
        await reply("hello", first_token_ms=60_000)
    assert scope.cancelled_caught
