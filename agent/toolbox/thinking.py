"""The rounds of one reply: the model asks for tools, is told the results, and speaks."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import anyio

from agent.timeline import Mark
from agent.toolbox.belt import Errands
from agent.toolbox.intents import intent
from stages.contracts import Llm, Sink
from stages.events import ChatRequest, LlmEvent, Message, TextDelta, ToolCall

MOST_ROUNDS = 4
"""Times that one reply may ask for tools; after that the model has to speak without them."""
FILLER_S = 0.8
"""A tool that takes longer than this is bridged with a word, once a reply."""
FILLERS = {"zh": "我看一下。", "en": "One moment, please."}
STUCK = {
    "zh": "抱歉，这件事我没办成。",
    "en": "Sorry, I could not get that done.",
}

AGAIN = "This was done already; its result stands above. Answer the caller."

Ask = Callable[[ChatRequest], Awaitable[tuple[str, tuple[ToolCall, ...], str]]]
"""Asks the LLM and passes its words on; returns its words, its calls, and how it failed."""


@dataclass(slots=True)
class Thinking:
    """One reply of a character with tools.

    Args:
        ask: asks the LLM.
        sink: where words of our own go.
        mark: told ``tool_called`` and ``tool_done``, while nothing has been said.
    """

    llm: Llm
    errands: Errands
    language: str
    ask: Ask
    sink: Sink[LlmEvent]
    mark: Callable[[Mark], None]
    said: bool = False
    _filled: bool = False
    _seen: list[tuple[str, str]] = field(default_factory=list)

    async def run(self, request: ChatRequest) -> str:
        """Reply; return a sentence if the LLM failed, else nothing."""
        if not getattr(self.llm, "takes_tools", False):
            if await self._intent(request):
                return ""
            return (await self._round(request))[2]
        request = replace(request, tools=self.errands.belt.specs())
        for _ in range(MOST_ROUNDS):
            words, calls, failure = await self._round(request)
            if failure or not calls:
                return failure
            answers = await self._errands(calls)
            request = _told(request, words, calls, answers)
            if self.said:
                await self.sink.send(TextDelta(" "))  # what was said before ends here
        words, calls, failure = await self._round(replace(request, tools=()))
        if not words.strip() and not failure:
            await self._say(STUCK)
        return failure

    async def _round(self, request: ChatRequest) -> tuple[str, tuple[ToolCall, ...], str]:
        words, calls, failure = await self.ask(request)
        self.said = self.said or bool(words.strip())
        return words, calls, failure

    async def _intent(self, request: ChatRequest) -> bool:
        """Do what was asked outright, and say what came of it."""
        call = intent(request.messages[-1].content, self.errands.belt.tools)
        if call is None:
            return False
        [answer] = await self._errands((call,))
        await self.sink.send(TextDelta(answer))
        self.said = True
        return True

    async def _errands(self, calls: tuple[ToolCall, ...]) -> list[str]:
        silent = not self.said
        if silent:
            self.mark("tool_called")
        again = all((call.name, call.arguments) in self._seen for call in calls)
        self._seen += [(call.name, call.arguments) for call in calls]
        if again:  # the same once more will not help
            return [AGAIN] * len(calls)
        answers: list[str] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._fill)
            answers = await self.errands.run(calls)
            tasks.cancel_scope.cancel()
        if silent and not self.said:
            self.mark("tool_done")
        return answers

    async def _fill(self) -> None:
        """Bridge a long silence, once the caller waits for sure."""
        if self.said or self._filled:
            return
        await self.errands.sure.wait()
        await anyio.sleep(FILLER_S)
        self._filled = True
        await self._say(FILLERS)

    async def _say(self, words: dict[str, str]) -> None:
        self.said = True
        chinese = self.language.lower().startswith("zh")
        await self.sink.send(TextDelta(words["zh" if chinese else "en"]))


def _told(
    request: ChatRequest, words: str, calls: tuple[ToolCall, ...], answers: list[str]
) -> ChatRequest:
    """Return the request with the calls and their results; a result is data, and says so."""
    results = [
        Message("tool", json.dumps({"result": answer}, ensure_ascii=False), answers=call.id)
        for call, answer in zip(calls, answers, strict=True)
    ]
    asked = Message("assistant", words, calls=calls)
    return replace(request, messages=(*request.messages, asked, *results))
