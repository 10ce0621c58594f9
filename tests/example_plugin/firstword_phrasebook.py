"""An LLM stage that needs no model: it only knows the answers that the profile gives it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import Field

from stages.contracts import Llm, Options, Plugin, Sink
from stages.errors import Unusable
from stages.events import ChatRequest, LlmEvent, Message, TextDelta
from stages.models import ModelStore


class PhrasebookOptions(Options):
    """The settings of ``phrasebook``."""

    phrases: dict[str, str] = Field(description="a word the caller may say, and the answer to it")
    otherwise: str = Field("", description="the answer to anything else; empty is a failure")


class PhrasebookLlm:
    """Answers with the phrase whose word the caller said first in the list."""

    def __init__(self, options: PhrasebookOptions) -> None:
        self._options = options

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """Do nothing: there is nothing to get ready."""

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        """Send the answer.

        Raises:
            Unusable: no phrase fits, and there is nothing to say otherwise.
        """
        said = request.messages[-1].content.casefold()
        fitting = (it for word, it in self._options.phrases.items() if word.casefold() in said)
        answer = next(fitting, self._options.otherwise)
        async with sink:
            if not answer:
                raise Unusable("llm phrasebook", f"no phrase answers {said!r}.")
            await sink.send(TextDelta(answer))


@asynccontextmanager
async def _open(options: PhrasebookOptions, store: ModelStore) -> AsyncIterator[PhrasebookLlm]:
    yield PhrasebookLlm(options)


plugin: Plugin[Llm] = Plugin(PhrasebookOptions, _open)
