"""From what was followed to the result of a turn. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.caller.follow import Follower, Spoken, Told
from agent.caller.mic import Utterance
from agent.caller.result import TurnResult


def turn_result(follow: Follower, index: int) -> TurnResult:
    """Return what came of the recording with that index."""
    spoken = follow.spoken[index]
    replies = [told for told in follow.replies.values() if told.file == index]
    told = _main(replies)
    turn = told.turn if told else spoken.turn
    interrupting = [t for t in follow.replies.values() if t.file < index and t.flushed]
    cut = interrupting[-1] if interrupting else None
    record = follow.records.get(turn) if turn is not None else None
    return TurnResult(
        file=str(spoken.file),
        turn=turn,
        partials=tuple(spoken.partials),
        final=" ".join(text for text in spoken.finals.values() if text),
        reply=told.text if told else "",
        heard_text=told.kept if told else "",
        interrupted=bool(told and told.interrupted),
        heard_ms=_after(told.heard, told.speech_end) if told else None,
        silenced_ms=_silenced(cut, spoken.utterance),
        marks=_marks(spoken.utterance, told),
        timeline=record,
        failure=spoken.failure or _failed(spoken, record),
    )


def _failed(spoken: Spoken, record: Mapping[str, Any] | None) -> str | None:
    """Say what failed at the agent, though it spoke: an apology is no answer."""
    error = (record or {}).get("error")
    return f"{spoken.file.name}: the agent failed: {str(error).rstrip('.')}." if error else None


def _main(replies: list[Told]) -> Told | None:
    """Return the reply that answers the whole recording: the last one that was heard."""
    heard = [told for told in replies if told.heard is not None]
    candidates = heard or replies
    return candidates[-1] if candidates else None


def _silenced(cut: Told | None, utterance: Utterance) -> float | None:
    if cut is None or not utterance.began or cut.speech_start is None:
        return None
    if abs(cut.speech_start - utterance.when(utterance.speech_start)) > 1e-6:
        return None  # another recording interrupted it
    return _after(cut.silenced, cut.speech_start)


def _marks(utterance: Utterance, told: Told | None) -> dict[str, float]:
    if not utterance.began:
        return {}
    end = told.speech_end if told and told.speech_end else utterance.when(utterance.speech_end)
    times = {"speech_start": utterance.when(utterance.speech_start), "speech_end": end}
    if told is not None:
        later = {"playing": told.playing, "heard": told.heard, "flush": told.flushed}
        later |= {"silenced": told.silenced, "reply_end": told.ended}
        times |= {name: when for name, when in later.items() if when is not None}
    return {name: round((when - end) * 1000, 3) for name, when in times.items()}


def _after(when: float | None, begin: float | None) -> float | None:
    return None if when is None or begin is None else round((when - begin) * 1000, 3)
