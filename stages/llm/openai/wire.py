"""What an OpenAI-compatible server says: shapes, thoughts, refusals. Pure: no I/O, no clock."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from pydantic import BaseModel

from stages.events import ToolCall

OPEN, CLOSE = "<think>", "</think>"
LONGEST_MESSAGE = 200
"""Characters of a server's own words in an error."""
LONGEST_EVENT = 1 << 20
"""Bytes between two events of a stream, at most."""
MOST_CALLS, LONGEST_ARGUMENTS = 16, 32_768
"""Tools that one reply may call, and characters of the arguments of one, at most."""
_UNPRINTABLE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


# --- a streamed reply -----------------------------------------------------------------------


class Function(BaseModel):
    """A piece of what is called."""

    name: str | None = None
    arguments: str | None = None


class CallPiece(BaseModel):
    """A piece of a tool call; pieces of one call share their index."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Delta(BaseModel):
    """What a chunk adds. ``reasoning_content`` and its like are thoughts: noted, never spoken."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallPiece] | None = None


class Choice(BaseModel):
    """One of the replies; there is only one."""

    delta: Delta | None = None
    finish_reason: str | None = None


class CachedTokens(BaseModel):
    """Tokens of the prompt that the server did not have to read again."""

    cached_tokens: int | None = None


class Tokens(BaseModel):
    """What the request cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: CachedTokens | None = None

    @property
    def cached(self) -> int:
        """Return the cached tokens of the prompt, 0 where the server does not say."""
        return (self.prompt_tokens_details or CachedTokens()).cached_tokens or 0


class Chunk(BaseModel):
    """One event of a streamed chat completion; what we do not know in it is ignored."""

    choices: list[Choice] | None = None
    usage: Tokens | None = None
    error: Any = None

    @property
    def text(self) -> str:
        """Return the text that it adds."""
        return "".join(it.delta.content or "" for it in self.choices or () if it.delta)

    @property
    def thinks(self) -> bool:
        """Tell whether it adds thoughts."""
        deltas = [it.delta for it in self.choices or () if it.delta]
        return any(delta.reasoning_content or delta.reasoning for delta in deltas)

    @property
    def calls(self) -> list[CallPiece]:
        """Return the pieces of tool calls that it adds."""
        deltas = [it.delta for it in self.choices or () if it.delta]
        return [piece for delta in deltas for piece in delta.tool_calls or ()]

    @property
    def finish(self) -> str | None:
        """Return why the reply ends with it, if it does."""
        return next((it.finish_reason for it in self.choices or () if it.finish_reason), None)


class TooManyCalls(Exception):
    """A reply calls more tools, or with longer arguments, than anybody could mean."""


class Calls:
    """Puts tool calls together that come in pieces."""

    def __init__(self) -> None:
        self._found: dict[int, ToolCall] = {}

    def push(self, pieces: Iterable[CallPiece]) -> None:
        """Take in pieces.

        Raises:
            TooManyCalls: there is no end to them.
        """
        for piece in pieces:
            place = self._place(piece)
            known = self._found.get(place, ToolCall("", "", ""))
            function = piece.function or Function()
            grown = ToolCall(
                known.id or piece.id or f"call_{place}",
                known.name or function.name or "",
                known.arguments + (function.arguments or ""),
            )
            self._found[place] = grown
            if len(self._found) > MOST_CALLS or len(grown.arguments) > LONGEST_ARGUMENTS:
                raise TooManyCalls

    def _place(self, piece: CallPiece) -> int:
        if piece.index is not None:
            return piece.index
        last = len(self._found) - 1  # some servers number nothing: a new id is a new call
        return last + 1 if last < 0 or piece.id else last

    def all(self) -> list[ToolCall]:
        """Return the calls, in order."""
        return [self._found[place] for place in sorted(self._found)]


class Thoughts:
    """Takes ``<think>…</think>`` out of a text that comes in pieces, and the space after it."""

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False
        self._begun = False

    def push(self, text: str) -> str:
        """Take in a piece and return what of it may be spoken by now."""
        self._held += text
        spoken = ""
        while (at := self._held.find(self._mark)) >= 0:
            spoken += "" if self._thinking else self._held[:at]
            self._held = self._held[at + len(self._mark) :]
            self._thinking = not self._thinking
        keep = self._begun_mark()
        free = self._held[: len(self._held) - keep]
        self._held = self._held[len(free) :]
        return self._say(spoken if self._thinking else spoken + free)

    def rest(self) -> str:
        """Return what was held back; an open thought is dropped."""
        held, self._held = self._held, ""
        return "" if self._thinking else self._say(held)

    @property
    def _mark(self) -> str:
        return CLOSE if self._thinking else OPEN

    def _begun_mark(self) -> int:
        """Return how many characters at the end may be the beginning of a mark."""
        longest = min(len(self._mark) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._mark.startswith(self._held[-n:])), 0)

    def _say(self, text: str) -> str:
        if not self._begun:
            text = text.lstrip()
        self._begun = self._begun or bool(text)
        return text


class Unending(Exception):
    """More than ``LONGEST_EVENT`` bytes came without an event."""

    def __init__(self) -> None:
        super().__init__(f"an event longer than {LONGEST_EVENT} bytes")


class Bounded(httpx.AsyncByteStream):
    """A response's body that fails when its reader finds no event in it for too long."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response
        self._unread = 0

    def event(self) -> None:
        """Note that the reader found an event."""
        self._unread = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body, piece by piece.

        Raises:
            Unending: the reader took in ``LONGEST_EVENT`` bytes and found no event.
        """
        async for piece in self._response.aiter_bytes():
            self._unread += len(piece)
            if self._unread > LONGEST_EVENT:
                raise Unending
            yield piece


# --- refusals -------------------------------------------------------------------------------


def own_words(body: str, secrets: Iterable[str] = ()) -> str:
    """Return a server's own message: one line, cut to size, without our secrets."""
    return tidy(_message(body), secrets)


def tidy(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text as one line, cut to size, without our secrets."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = _UNPRINTABLE.sub(" ", text).strip()
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def retry_after(headers: httpx.Headers, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After header asks for, be it a number or a date."""
    value = headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    now = now or datetime.now(UTC)
    return max((moment.astimezone(UTC) - now).total_seconds(), 0.0)


def error_words(error: object) -> tuple[str, int | None]:
    """Return the message and the HTTP status of an error object inside a stream."""
    if not isinstance(error, dict):
        return str(error), None
    code = error.get("code")
    known = int(code) if isinstance(code, int | str) and str(code).isdecimal() else None
    return str(error.get("message") or error.get("type") or error), known


def _message(body: str) -> str:
    try:
        told = json.loads(body)
    except ValueError:
        return re.sub(r"<[^>]*>", " ", body)
    for key in ("error", "message", "detail", "msg"):
        while isinstance(told, dict) and told.get(key):
            told = told[key]
    return told if isinstance(told, str) else body
