"""What of a conversation SmolLM reads: turns that alternate, as many as it has room for. Pure."""

from __future__ import annotations

import math
from dataclasses import replace

from stages.errors import Unusable
from stages.events import ChatRequest, Message

STAGE = "llm smollm"

BLOCK = 0.6
"""Share of the room that is made when a conversation does not fit."""

_NOBODY = Message(
    "system", "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
)
START, START_TOKEN = "<|im_start|>", 1
_END = "<|im_end|>\n"

_BYTES_PER_TOKEN, _TOKENS_PER_MESSAGE = 3.0, 8  # a careful guess; the model's own count decides


def alternating(request: ChatRequest) -> ChatRequest:
    """Return the request without assistant messages that answer nobody, such as a greeting.

    The model was trained on turns that alternate; after a greeting it answered three of twelve
    questions with an apology that it answered well without.
    """
    kept: list[Message] = []
    for message in request.messages:
        if message.role != "assistant" or (kept and kept[-1].role == "user"):
            kept.append(message)
    return replace(request, messages=tuple(kept))


def fitted(messages: tuple[Message, ...], room: int, opening: int) -> tuple[Message, ...]:
    """Return the messages that fit into so many tokens, judged by their length.

    Old ones go in blocks of most of the room: were they to go one by one, every turn would begin
    differently from the one before, and the model would have to read it all again; and the less
    is left, the sooner it is read.
    """
    excess = sum(tokens_in(one) for one in messages) - room
    if excess <= 0:
        return messages
    block = BLOCK * room
    to_go = math.ceil(excess / block) * block
    while to_go > 0 and len(messages) - opening > 1:
        before = sum(tokens_in(one) for one in messages)
        messages = shorter(messages, opening)
        to_go -= before - sum(tokens_in(one) for one in messages)
    return messages


def tokens_in(message: Message) -> float:
    """Return how many tokens a message takes, by a careful guess."""
    return len(message.content.encode()) / _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE


def shorter(messages: tuple[Message, ...], opening: int) -> tuple[Message, ...]:
    """Return the messages without the oldest that is neither of the opening nor the last.

    Raises:
        Unusable: there is no other.
    """
    if len(messages) - opening <= 1:
        raise Unusable(STAGE, "the conversation does not fit into what the model can read")
    return messages[:opening] + messages[opening + 1 :]


def written(messages: tuple[Message, ...]) -> str:
    """Return a conversation as the model was trained on it, up to the last word of it."""
    if not messages or messages[0].role != "system":
        messages = (_NOBODY, *messages)
    return _END.join(f"{START}{one.role}\n{one.content}" for one in messages)


def asked(messages: tuple[Message, ...]) -> str:
    """Return ``written`` and what makes the model answer."""
    return f"{written(messages)}{_END}{START}assistant\n"
