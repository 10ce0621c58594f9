"""Where the spans of a turn lie on its clock: for pictures and traces alike. Pure."""

from __future__ import annotations

from agent.timeline import RESIDUAL, TurnRecord


def layout(record: TurnRecord) -> list[tuple[str, float, float, bool]]:
    """Return each span of a turn as (name, begin, end, hidden), in ms after the turn's begin.

    What made the caller wait comes first, end to end; then the hidden work, which ran one after
    the other from the moment when the reply began to be prepared.
    """
    laid: list[tuple[str, float, float, bool]] = []
    at = 0.0
    for name, ms in record.spans:
        if name != RESIDUAL:
            laid.append((name, at, at + ms, False))
            at += ms
    guess = record.speculation
    if guess is not None and guess.started_ms_before_endpoint is not None:
        at = record.marks.get("endpoint", 0.0) - guess.started_ms_before_endpoint
        for name, ms in record.hidden.items():
            laid.append((name, at, at + ms, True))
            at += ms
    return laid
