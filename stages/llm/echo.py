"""An LLM without a model: says back what it was told, word by word."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from pydantic import Field

from stages.contracts import Llm, Options, Plugin, Sink
from stages.events import ChatRequest, LlmEvent, Message, TextDelta
from stages.models import ModelStore

_TOKEN = re.compile(r"[\u3040-\u9fff]|[^\s\u3040-\u9fff]+\s*|\s+")


class EchoOptions(Options):
    """The settings of ``echo``."""

    reply: str = Field(
        "You said: {text}", description="the reply; {text} is what the caller said last"
    )
    first_token_ms: int = Field(0, ge=0, description="before the first word")
    token_ms: int = Field(0, ge=0, description="between words")


class EchoLlm:
    """Says back what it was told."""

    def __init__(self, options: EchoOptions) -> None:
        self._options = options

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """Do nothing: there is nothing to get ready."""

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        """Send the reply, a word (or one Han character) at a time, at most ``max_tokens``.

        Cancelling ends it at once, waits included.
        """
        said = [message.content for message in request.messages if message.role == "user"]
        reply = self._options.reply.replace("{text}", said[-1] if said else "")
        async with sink:
            await anyio.sleep(self._options.first_token_ms / 1000)
            for number, token in enumerate(_TOKEN.findall(reply)[: request.max_tokens]):
                if number:
                    await anyio.sleep(self._options.token_ms / 1000)
                await sink.send(TextDelta(token))


@asynccontextmanager
async def _open(options: EchoOptions, store: ModelStore) -> AsyncIterator[EchoLlm]:
    yield EchoLlm(options)


plugin: Plugin[Llm] = Plugin(EchoOptions, _open)
