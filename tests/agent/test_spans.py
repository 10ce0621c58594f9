"""Turns as OpenTelemetry traces: in memory, over HTTP, and with a collector that is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import anyio
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent.spans import Spans, open_spans, wanted
from agent.timeline import TurnRecord
from agent.waterfall import layout
from tests.agent.report.turns import guessed, stalled, turn


def exported(record: TurnRecord) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """Return the turn's span and those below it."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    Spans(provider).turn(record)
    spans = memory.get_finished_spans()
    [root] = [span for span in spans if span.parent is None]
    below = [span for span in spans if span.parent is not None]
    assert all(span.parent == root.context for span in below)
    return root, below


def took_ms(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e6


def test_the_stages_of_a_turn_lie_end_to_end_and_fill_it() -> None:
    root, below = exported(turn(1))
    names = ["endpoint", "asr", "llm", "clause", "tts", "playout", "ear"]
    assert [span.name for span in below] == names
    assert took_ms(root) == pytest.approx(600)
    assert sum(map(took_ms, below)) == pytest.approx(600)
    for before, after in pairwise(below):
        assert before.end_time == after.start_time


def test_hidden_work_lies_before_the_endpoint_and_says_so() -> None:
    _, below = exported(guessed())
    hidden = [span for span in below if (span.attributes or {})["firstword.hidden"]]
    [endpoint] = [span for span in below if span.name == "endpoint"]
    assert {span.name for span in hidden} == {"asr", "llm", "clause", "tts"}
    for span in hidden:
        assert (span.end_time or 0) <= (endpoint.end_time or 0)


def test_a_turn_is_labelled_with_what_served_it_and_not_with_what_was_said() -> None:
    root, below = exported(turn(1, user_text="my secret"))
    shown = dict(root.attributes or {})
    assert shown["firstword.stage.asr"] == "moonshine"
    assert shown["firstword.first_response_ms"] == 600.0
    assert not any("secret" in str(span.to_json()) for span in (root, *below))


def test_a_failed_turn_is_an_error_that_names_the_stage() -> None:
    root, _ = exported(turn(1, error="llm openai: 'my secret' was refused"))
    assert root.status.description == "llm openai"
    assert not root.status.is_ok


def test_layout_and_record_say_the_same() -> None:
    record = guessed()
    waited = {name: end - start for name, start, end, hid in layout(record) if not hid}
    assert waited == pytest.approx(dict(record.spans))


@pytest.mark.parametrize(
    ("environment", "answer"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_off_unless_the_environment_asks(
    environment: dict[str, str], answer: bool
) -> None:
    assert wanted(environment) is answer


# --- over HTTP ------------------------------------------------------------------------------


class Collector(ThreadingHTTPServer):
    """Takes traces as a collector does; one that hangs answers only when it is told."""

    daemon_threads = True

    def __init__(self, *, hangs: bool = False) -> None:
        self.taken: list[ExportTraceServiceRequest] = []
        self.go_on = threading.Event()
        if not hangs:
            self.go_on.set()
        super().__init__(("127.0.0.1", 0), _Answers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answers(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.go_on.wait(20)
        self.server.taken.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collecting(*, hangs: bool = False) -> Iterator[Collector]:
    with Collector(hangs=hangs) as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.go_on.set()
            collector.shutdown()
            thread.join()


async def test_a_collector_gets_the_whole_tree_of_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        async with open_spans() as spans:
            assert spans is not None
            spans.turn(turn(1))
        [taken] = collector.taken
    [resource] = taken.resource_spans
    service = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert service["service.name"] == "firstword"
    [scope] = resource.scope_spans
    assert {span.name for span in scope.spans} >= {"turn", "endpoint", "asr", "tts", "ear"}


async def test_a_collector_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with collecting(hangs=True) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "64")
        with anyio.fail_after(10):
            async with open_spans() as spans:
                assert spans is not None
                for number in range(500):  # more than its queue holds
                    spans.turn(turn(number))
            assert not collector.taken
        collector.go_on.set()  # so that no thread of it outlives this test
        for thread in threading.enumerate():
            if thread.name.startswith("Otel"):
                thread.join(10)


async def test_without_an_endpoint_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    async with open_spans() as spans:
        assert spans is None


def test_a_turn_in_whose_wait_the_event_loop_stalled_says_so() -> None:
    root, _ = exported(stalled(1))
    assert root.attributes is not None
    assert root.attributes["firstword.event_loop.stalls"] == 2
    assert root.attributes["firstword.event_loop.worst_ms"] == 80.0
