"""Turns as OpenTelemetry traces: a span a turn, and one below it for each stage.

Off unless the environment asks for it, with OpenTelemetry's own variables:
``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``) says where to send
over HTTP; ``OTEL_SDK_DISABLED=true`` and ``OTEL_TRACES_EXPORTER=none`` turn it off again;
headers, time-outs, sampling and the names of the service come from the usual variables too. The
packages come with ``pip install 'firstword[otel]'``.

A turn is handed over when it is finished. OpenTelemetry's own thread sends it, from a bounded
queue that drops what is too much; a collector that is away or hangs costs traces, never a call.
What was said is not sent, only where the time went.

The spans below a turn are laid out on the wall clock by the record's marks: those that made the
caller wait sum to the turn, those that a prepared reply hid have ``firstword.hidden`` set and
lie before the endpoint.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio

from agent.errors import NotPossible
from agent.timeline import TurnRecord
from agent.waterfall import layout
from stages.threads import Workers

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

CLOSING_S = 3.0
"""How long the last spans may take to be sent at the end."""

_WHERE = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_NS_PER_MS = 1_000_000
_log = logging.getLogger(__name__)


def wanted(environment: Mapping[str, str] | None = None) -> bool:
    """Tell whether the environment asks for traces."""
    asked = os.environ if environment is None else environment
    if asked.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if asked.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() != "otlp":
        return False
    return any(asked.get(name, "").strip() for name in _WHERE)


class Spans:
    """Makes the spans of finished turns."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("firstword")

    def turn(self, record: TurnRecord) -> None:
        """Hand a turn over; never waits."""
        from opentelemetry import trace
        from opentelemetry.trace import Status, StatusCode

        begin = _begin_ns(record)
        if begin is None:
            return
        root = self._tracer.start_span("turn", start_time=begin, attributes=_attributes(record))
        if record.error is not None:
            root.set_status(Status(StatusCode.ERROR, record.error.partition(":")[0]))
        for name, ms in record.marks.items():
            root.add_event(name, timestamp=begin + _ns(ms))
        inside = trace.set_span_in_context(root)
        for name, start, end, hidden in layout(record):
            span = self._tracer.start_span(
                name,
                context=inside,
                start_time=begin + _ns(start),
                attributes={"firstword.hidden": hidden},
            )
            span.end(begin + _ns(end))
        root.end(begin + _ns(max([0.0, *record.marks.values()])))


def _begin_ns(record: TurnRecord) -> int | None:
    """Return the turn's begin on the wall clock: its label is of when the reply was begun."""
    try:
        label = datetime.fromisoformat(record.started_at).timestamp()
    except ValueError:
        return None
    guess = record.speculation
    begun = record.marks.get("endpoint", 0.0)
    if guess is not None and guess.started_ms_before_endpoint is not None:
        begun -= guess.started_ms_before_endpoint
    return round(label * 1e9) - _ns(begun)


def _ns(ms: float) -> int:
    return round(ms * _NS_PER_MS)


def _attributes(record: TurnRecord) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "firstword.call": record.call,
        "firstword.turn": record.turn,
        "firstword.reply": record.reply,
        "firstword.profile": record.profile,
        "firstword.interrupted": record.interrupted,
        "firstword.line_ended": record.line_ended,
        "firstword.fallbacks": len(record.fallbacks),
        "firstword.residual_ms": record.residual_ms,
    }
    shown |= {f"firstword.stage.{kind}": engine for kind, engine in record.stages.items()}
    maybe = {
        "firstword.first_response_ms": record.first_response_ms,
        "firstword.measured_from": record.measured_from,
        "firstword.measured_to": record.measured_to,
        "firstword.barge_in_ms": record.barge_in_ms,
    }
    if record.speculation is not None:
        maybe["firstword.speculation.hit"] = record.speculation.hit
        maybe["firstword.speculation.tries"] = record.speculation.tries
        maybe["firstword.speculation.saved_ms"] = record.speculation.saved_ms
        maybe["firstword.speculation.tokens_wasted"] = record.speculation.tokens_wasted
    if record.event_loop is not None:
        maybe["firstword.event_loop.worst_ms"] = record.event_loop.worst_ms
        maybe["firstword.event_loop.stalls"] = record.event_loop.stalls
    return shown | {name: value for name, value in maybe.items() if value is not None}


@asynccontextmanager
async def open_spans() -> AsyncIterator[Spans | None]:
    """Open what sends traces, where the environment asks for it; none where it does not.

    At the end, what waits is sent within ``CLOSING_S``.

    Raises:
        NotPossible: traces are asked for, and their packages are not installed.
    """
    if not wanted():
        yield None
        return
    provider = _provider()
    try:
        yield Spans(provider)
    finally:
        with anyio.move_on_after(CLOSING_S, shield=True) as patience:
            await Workers(1).run(provider.shutdown)
        if patience.cancelled_caught:
            _log.warning("The last traces could not be sent within %g s.", CLOSING_S)


def _provider() -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise NotPossible(
            f"{' or '.join(_WHERE)} asks for traces, but {error.name} is not installed; get it"
            " with: pip install 'firstword[otel]'"
        ) from error
    named = "OTEL_SERVICE_NAME" in os.environ or "service.name" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    resource = Resource.create({} if named else {"service.name": "firstword"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
