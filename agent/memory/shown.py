"""A memory as people and programs see it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.memory.record import Exchange, Memory


def card(memory: Memory) -> dict[str, Any]:
    """Return whose memory it is, and how much; none of its words."""
    return {
        "name": memory.name,
        "profile": memory.profile,
        "kept": len(memory.turns) + len(memory.fallen),
        "summed": memory.summed,
        "dropped": memory.dropped,
        "since": memory.since,
        "latest": memory.latest,
        "days": memory.days,
    }


def exported(name: str, memories: Sequence[Memory]) -> dict[str, Any]:
    """Return all that is kept of a person."""
    return {"name": name, "memories": [card(one) | _words(one) for one in memories]}


def _words(memory: Memory) -> dict[str, Any]:
    turns = [_turn(one) for one in (*memory.fallen, *memory.turns)]
    return {"summary": memory.summary, "turns": turns}


def _turn(one: Exchange) -> dict[str, Any]:
    return {"at": one.at, "caller": one.caller, "reply": one.reply, "interrupted": one.cut}
