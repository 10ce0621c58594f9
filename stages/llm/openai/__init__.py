"""An LLM behind any server that speaks OpenAI's chat completions, streamed.

Ollama, vLLM, llama.cpp, DashScope, Ark, DeepSeek and many more do.
"""

from __future__ import annotations

import json
import logging
import math
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any

import anyio
import httpx
from anyio import to_thread
from httpx_sse import EventSource, SSEError
from pydantic import Field, SecretStr, ValidationError

from stages.contracts import Llm, Options, Plugin, Sink
from stages.errors import Transient, Unusable
from stages.events import ChatRequest, LlmEvent, Message, TextDelta, ToolSpec, Usage
from stages.llm.openai.wire import (
    Bounded,
    Calls,
    Chunk,
    Thoughts,
    Tokens,
    TooManyCalls,
    Unending,
    error_words,
    own_words,
    retry_after,
    tidy,
)
from stages.models import ModelStore

STAGE = "llm openai"
DONE = "[DONE]"
USAGE_S = 0.5
"""A reply is over when the server says so; it may still tell what it cost, this long."""
IDLE_S = 120.0
"""A caller may be silent this long, and the next turn still finds the connection open."""
FIRST_BACK_OFF_S = 0.1
LONGEST_BODY = 65_536
"""Bytes that are read of an answer that is no stream."""
TRY_AGAIN = frozenset({408, 409, 425, 429})
CALLS = 256
"""Connections at most; a call beyond waits ``connect_s`` for one, then fails as transient."""

log = logging.getLogger(__name__)


class OpenaiOptions(Options):
    """The settings of ``openai``."""

    base_url: str = Field(
        pattern=r"^https?://[^\s/]+", description="up to and with /v1: http://localhost:11434/v1"
    )
    model: str = Field(min_length=1, description="as the server calls it")
    api_key: SecretStr | None = Field(None, description="sent as a bearer token; ${ENV_NAME}")
    connect_s: float = Field(3.0, gt=0, le=60, description="for a connection, at most")
    first_token_s: float = Field(
        10.0, gt=0, le=300, description="from request to first token, tries and waits included"
    )
    between_tokens_s: float = Field(10.0, gt=0, le=300, description="of silence inside a reply")
    retries: int = Field(2, ge=0, le=10, description="before the first token")
    warm_prompt: bool = Field(
        False,
        description="have the server read the persona when a call starts: a local server loads"
        " its model then, one that is paid by the token bills it",
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict, description="more fields of the request; null leaves one of ours out"
    )
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="more HTTP headers")


class _Reply:
    """How far one reply has come; what a second try must know of the first."""

    def __init__(self, sink: Sink[LlmEvent], deadline: float) -> None:
        self.sink = sink
        self.deadline = deadline  # of the first token, on the event loop's clock
        self.alive = self.begun = self.finished = self.closed = False
        self.thoughts, self.calls = Thoughts(), Calls()
        self.tokens: Tokens | None = None

    async def say(self, text: str) -> None:
        """Send text on."""
        if text:
            self.begun = True
            await self.sink.send(TextDelta(text))

    async def close(self) -> None:
        """Send what the reply cost, and nothing more.

        Raises:
            Transient: there was not one word.
        """
        if self.closed:
            return
        self.closed = True
        for call in self.calls.all():
            self.begun = True
            await self.sink.send(call)
        if not self.begun:
            raise Transient(STAGE, "the server ended its reply before the first word.")
        if self.tokens:
            cost = self.tokens
            await self.sink.send(Usage(cost.prompt_tokens, cost.completion_tokens, cost.cached))
        await self.sink.aclose()


class OpenaiLlm:
    """One server; calls share the connections."""

    takes_tools = writes_summaries = True

    def __init__(self, options: OpenaiOptions, client: httpx.AsyncClient) -> None:
        self._options, self._client = options, client
        base = httpx.URL(options.base_url)
        self._url = options.base_url.rstrip("/")
        self._where = base.host + (f":{base.port}" if base.port else "")  # a URL may hold secrets
        self._secrets = [secret.get_secret_value() for secret in options.headers.values()]
        if options.api_key:
            self._secrets.append(options.api_key.get_secret_value())
        self._tells_usage = True  # until the server refuses to be asked

    async def warm(self, messages: tuple[Message, ...]) -> None:
        """Open a connection, so that the first request does not pay for TCP and TLS.

        With ``warm_prompt`` the server reads the messages too. Failures are quiet: the first
        request meets them again, and says them. Cancelling closes the connection.
        """
        with anyio.move_on_after(self._options.first_token_s):
            try:
                async with self._client.stream("GET", f"{self._url}/models") as response:
                    await _read(response)
                if self._options.warm_prompt:
                    body = self._body(ChatRequest(messages, max_tokens=1), usage=False)
                    async with self._post(body | {"stream": False}) as response:
                        await _read(response)
            except httpx.HTTPError as error:
                log.debug("%s cannot be warmed: %r", self._where, error)

    async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
        """Send the reply as it comes. Cancelling closes the stream upstream at once.

        Raises:
            Transient: no connection, no token in time, a cut stream, 429, 5xx; what failed
                before the first token was tried again already.
            Unusable: the server refuses the key, the model or the request, or speaks no SSE.
        """
        async with sink:
            reply = _Reply(sink, anyio.current_time() + self._options.first_token_s)
            for failed in range(self._options.retries + 1):
                try:
                    await self._try(request, reply)
                except Transient as failure:
                    wait = _back_off(failed, failure.retry_after)
                    too_late = anyio.current_time() + wait >= reply.deadline
                    last = failed == self._options.retries
                    if reply.begun or reply.finished or too_late or last:
                        raise
                    log.debug("%s; trying again in %.2f s", failure, wait)
                else:
                    break
                await anyio.sleep(wait)

    async def _try(self, request: ChatRequest, reply: _Reply) -> None:
        reply.thoughts, reply.calls = Thoughts(), Calls()
        with anyio.CancelScope(deadline=reply.deadline) as scope:
            try:
                await self._ask(request, reply, scope)
            except httpx.HTTPError as error:
                if not reply.finished:
                    raise self._broken(error, reply) from error
        if scope.cancelled_caught and not reply.finished:
            raise self._silent(reply)
        await reply.close()

    async def _ask(self, request: ChatRequest, reply: _Reply, scope: anyio.CancelScope) -> None:
        asks_usage = self._tells_usage
        async with self._post(self._body(request, asks_usage)) as response:
            if response.is_success:
                return await self._listen(response, reply, scope)
            refusal = self._refusal(response, await _read(response))
        if not (asks_usage and response.status_code in {400, 422}):
            raise refusal
        self._tells_usage = False  # some servers know no stream_options: was it that?
        try:
            await self._ask(request, reply, scope)
        except Unusable:
            self._tells_usage = True  # it was not
            raise

    def _post(self, body: dict[str, Any]) -> AbstractAsyncContextManager[httpx.Response]:
        return self._client.stream("POST", f"{self._url}/chat/completions", json=body)

    def _body(self, request: ChatRequest, usage: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._options.model,
            "messages": [_message(it) for it in request.messages],
            "tools": [_tool(it) for it in request.tools] or None,
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True} if usage else None,
        }
        body |= self._options.extra_body
        return {name: value for name, value in body.items() if value is not None}

    # --- the stream -------------------------------------------------------------------------

    async def _listen(
        self, response: httpx.Response, reply: _Reply, scope: anyio.CancelScope
    ) -> None:
        """Pass a stream on to its very end: only then can the connection be used again."""
        body = Bounded(response)
        kind = {"content-type": response.headers.get("content-type", "")}
        events = EventSource(httpx.Response(200, headers=kind, stream=body)).aiter_sse()
        try:
            async with aclosing(events):
                async for event in events:
                    body.event()
                    if event.data == DONE:
                        await self._end(reply, scope)
                        await reply.close()
                    elif event.data and not reply.closed:
                        await self._take(event.data, reply, scope)
        except (SSEError, Unending) as error:
            raise Unusable(STAGE, f"the server sends no stream of events: {error}.") from error
        if not reply.finished:
            raise Transient(STAGE, "the reply was cut off in the middle.")

    async def _take(self, data: str, reply: _Reply, scope: anyio.CancelScope) -> None:
        try:
            chunk = Chunk.model_validate_json(data)
        except ValidationError as error:
            told = tidy(data, self._secrets)
            reason = f"the server sends what is no part of a chat completion: {told!r}."
            raise Unusable(STAGE, reason) from error
        if chunk.error:
            raise self._failure(*error_words(chunk.error))
        reply.tokens = chunk.usage or reply.tokens
        try:
            reply.calls.push(chunk.calls)
        except TooManyCalls:
            raise Unusable(STAGE, f"{self._where} calls tools without end.") from None
        if chunk.text or chunk.thinks or chunk.calls:
            reply.alive = True
            scope.deadline = math.inf  # the time that our reader takes is not the server's
            await reply.say(reply.thoughts.push(chunk.text))
            scope.deadline = anyio.current_time() + self._options.between_tokens_s
        if chunk.finish:
            await self._end(reply, scope)

    async def _end(self, reply: _Reply, scope: anyio.CancelScope) -> None:
        """Take it that nothing more is said; what it cost may still come."""
        reply.finished = True
        scope.deadline = math.inf
        await reply.say(reply.thoughts.rest())
        scope.deadline = anyio.current_time() + USAGE_S

    # --- what went wrong --------------------------------------------------------------------

    def _refusal(self, response: httpx.Response, body: str) -> Transient | Unusable:
        told = own_words(body, self._secrets) or response.reason_phrase
        wait = retry_after(response.headers)
        return self._failure(told, response.status_code, wait)

    def _failure(
        self, told: str, status: int | None, wait: float | None = None
    ) -> Transient | Unusable:
        told = tidy(told, self._secrets)
        reason = f"{self._where} answered {f'{status}: ' if status else ''}{told}"
        if status is None or status in TRY_AGAIN or status >= 500 or status < 300:
            return Transient(STAGE, reason, wait)
        return Unusable(STAGE, reason)

    def _broken(self, error: httpx.HTTPError, reply: _Reply) -> Transient | Unusable:
        told = tidy(str(error) or type(error).__name__, self._secrets)
        if "CERTIFICATE_VERIFY_FAILED" in told:
            return Unusable(STAGE, f"{self._where} shows a certificate that is not trusted: {told}")
        if isinstance(error, httpx.ConnectError | httpx.TimeoutException):
            return Transient(STAGE, f"no connection to {self._where}: {told}")
        if reply.begun:
            return Transient(STAGE, f"the reply was cut off in the middle: {told}")
        return Transient(STAGE, f"{self._where} broke the connection: {told}")

    def _silent(self, reply: _Reply) -> Transient:
        if reply.alive:
            silence = f"{self._options.between_tokens_s:g} s"
            return Transient(STAGE, f"{self._where} fell silent for {silence} inside its reply.")
        within = f"{self._options.first_token_s:g} s"
        return Transient(STAGE, f"{self._where} gave no first word within {within}.")


def _message(message: Message) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        said["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.calls
        ]
    if message.answers:
        said["tool_call_id"] = message.answers
    return said


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": json.loads(tool.parameters),
    }
    return {"type": "function", "function": function}


def _back_off(failed: int, asked: float | None) -> float:
    """Return the seconds to wait after that many failures (0, 1, …) and this one."""
    if asked is not None:
        return asked
    return float(FIRST_BACK_OFF_S * 2**failed * random.uniform(1, 1.5))


async def _read(response: httpx.Response) -> str:
    """Return the beginning of a body; one read to its end leaves the connection usable."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > LONGEST_BODY:
            break
    return body[:LONGEST_BODY].decode(errors="replace")


@asynccontextmanager
async def _open(options: OpenaiOptions, store: ModelStore) -> AsyncIterator[OpenaiLlm]:
    headers = {name: value.get_secret_value() for name, value in options.headers.items()}
    if options.api_key:
        headers = {"Authorization": f"Bearer {options.api_key.get_secret_value()}"} | headers
    async with httpx.AsyncClient(
        headers={"Accept-Encoding": "identity"} | headers,
        verify=await to_thread.run_sync(httpx.create_ssl_context),  # reads files, takes 20 ms
        timeout=httpx.Timeout(options.connect_s, read=None),  # reading has deadlines of its own
        limits=httpx.Limits(max_connections=CALLS, keepalive_expiry=IDLE_S),
    ) as client:
        yield OpenaiLlm(options, client)


plugin: Plugin[Llm] = Plugin(OpenaiOptions, _open)
