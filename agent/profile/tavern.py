"""Characters from elsewhere: Tavern cards (V1 and V2), as JSON or inside a PNG.

What a voice can use becomes a profile; the whole card, with extensions that nobody here knows,
is kept beside it. Cards come from strangers: their size is bounded, and nothing in them is run.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import ProfileError

LARGEST = 32 * 1024 * 1024
"""Bytes of a card's file, at most; pictures are large."""
LARGEST_CARD = 2 * 1024 * 1024
"""Bytes of the card itself."""
LONGEST_PROMPT = 6_000
"""Characters of the persona: every request carries them, and the first word waits for them."""
LONGEST_GREETING = 600
LONGEST_EXAMPLE = 1_000
MOST_EXAMPLES = 8

_PNG = b"\x89PNG\r\n\x1a\n"
_HAN = re.compile(r"[一-鿿]")
_SAID = re.compile(r"^\s*(\{\{user\}\}|\{\{char\}\}|<USER>|<BOT>)\s*:\s*", re.I | re.M)


class Card(BaseModel):
    """What of a card we read; all else is kept in the file beside the profile."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(min_length=1, max_length=100)
    description: str = ""
    personality: str = ""
    scenario: str = ""
    first_mes: str = ""
    mes_example: str = ""
    system_prompt: str = ""


def read_card(content: bytes) -> tuple[Card, dict[str, Any]]:
    """Read a card's file; return what we use of it, and all of it.

    Raises:
        ProfileError: it is no card, or too large.
    """
    if len(content) > LARGEST:
        raise ProfileError(f"the card is larger than {LARGEST >> 20} MiB.")
    text = _from_png(content) if content.startswith(_PNG) else content
    if len(text) > LARGEST_CARD:
        raise ProfileError(f"the card's text is larger than {LARGEST_CARD >> 20} MiB.")
    try:
        whole = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ProfileError("the card is no JSON, and no PNG that holds one.") from error
    if not isinstance(whole, dict):
        raise ProfileError("the card is no JSON object.")
    data = whole.get("data") if isinstance(whole.get("data"), dict) else whole
    try:
        return Card.model_validate(data), whole
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ProfileError(f"the card's field {field!r} is wrong: {first['msg']}.") from None


def profile_of(card: Card, base: str) -> tuple[dict[str, Any], list[str]]:
    """Return a card as a profile file's data, and sentences about what was left out.

    Args:
        card: what was read.
        base: the profile to extend: it brings the voice and the mind.
    """
    language = "zh-CN" if len(_HAN.findall(card.description + card.first_mes)) > 20 else "en"
    caller = "对方" if language == "zh-CN" else "the caller"

    def plain(text: str) -> str:
        text = re.sub(r"\{\{char\}\}|<BOT>", lambda _: card.name, text, flags=re.I)
        text = re.sub(r"\{\{user\}\}|<USER>", caller, text, flags=re.I)
        text = re.sub(r"\{\{original\}\}", "", text, flags=re.I)
        text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text)
        return text.replace("${", "$ {").strip()  # a profile fills in ${NAME}; a stranger may not

    left_out: list[str] = []

    def cut(text: str, length: int, what: str) -> str:
        if len(text) > length:
            left_out.append(f"The {what} had {len(text)} characters; {length} were kept.")
        return text[:length].rstrip()

    parts = (card.system_prompt, card.description, card.personality, card.scenario)
    persona = "\n\n".join(part for part in map(plain, parts) if part)
    said = [(plain(user), plain(answer)) for user, answer in _examples(card.mes_example)]
    examples = [
        {"user": user[:LONGEST_EXAMPLE], "assistant": answer[:LONGEST_EXAMPLE]}
        for user, answer in said
        if user and answer
    ]
    if len(examples) > MOST_EXAMPLES:
        left_out.append(f"Of {len(examples)} examples, {MOST_EXAMPLES} were kept.")
    data = {
        "extends": base,
        "name": plain(card.name) or "Nameless",
        "language": language,
        "persona_prompt": cut(persona, LONGEST_PROMPT, "persona"),
        "greeting": cut(_spoken(plain(card.first_mes)), LONGEST_GREETING, "greeting"),
        "examples": examples[:MOST_EXAMPLES],
    }
    return {key: value for key, value in data.items() if value}, left_out


def _spoken(text: str) -> str:
    """Return a greeting without what is done rather than said (``*she smiles*``)."""
    said = re.sub(r"\*[^*\n]{0,500}\*", " ", text)
    return re.sub(r"\s+", " ", said).strip() or re.sub(r"\s+", " ", text).strip()


def _examples(text: str) -> Iterator[tuple[str, str]]:
    """Give pairs of what the user said and what the character answered."""
    for dialogue in re.split(r"<START>", text, flags=re.I):
        pieces = _SAID.split(dialogue)[1:]  # who, what, who, what …
        turns = [
            (who.lower() in ("{{user}}", "<user>"), said.strip())
            for who, said in zip(pieces[::2], pieces[1::2], strict=False)
        ]
        for (asks, question), (asks_too, answer) in pairwise(turns):
            if asks and not asks_too:
                yield question, answer


def _from_png(content: bytes) -> bytes:
    """Return the card in a PNG's text chunks; the newer form wins."""
    found: dict[bytes, bytes] = {}
    place = len(_PNG)
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        if length > len(content) - place - 8:
            break
        if kind == b"tEXt":
            key, _, value = content[place + 8 : place + 8 + length].partition(b"\0")
            found[key.lower()] = value
        place += 12 + length
    text = found.get(b"chara") or found.get(b"ccv3")
    if text is None:
        raise ProfileError("the picture holds no character card.")
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError) as error:
        raise ProfileError("the picture's character card is no base64.") from error
