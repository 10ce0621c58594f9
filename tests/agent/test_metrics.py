"""What Prometheus is told; the dashboard asks for the same names, through a real Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.metrics import CONTENT_TYPE, Metrics
from agent.report.page import style
from agent.server import Figures
from tests.agent.report.turns import guessed, turn
from tests.servers.edge_http import ScriptedCalls, served
from tests.servers.programs import program, running

DASHBOARD = Path(__file__).resolve().parents[2] / "docs" / "grafana.json"
SCRAPED_S = 30.0


@dataclass
class House:
    """A house of calls with known figures."""

    limit: int = 8
    count: int = 3
    waiting: dict[str, int] = field(default_factory=lambda: {"records": 5})
    gone: dict[str, int] = field(default_factory=lambda: {"audio": 2})

    def queues(self) -> dict[str, int]:
        return self.waiting

    def dropped(self) -> dict[str, int]:
        return self.gone


def values(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample by its name and labels, as a scraper parses them."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return values(metrics)[name, tuple(sorted(labels.items()))]


def test_a_turn_is_in_the_histograms_of_its_stages_and_of_the_whole() -> None:
    metrics = Metrics()
    metrics.turn(turn(1))
    labels = {"profile": "robin", "to": "heard"}
    assert value(metrics, "firstword_first_response_seconds_sum", **labels) == pytest.approx(0.6)
    assert value(metrics, "firstword_first_response_seconds_bucket", le="0.5", **labels) == 0
    assert value(metrics, "firstword_first_response_seconds_bucket", le="0.6", **labels) == 1
    asr = {"stage": "asr", "engine": "moonshine", "profile": "robin"}
    assert value(metrics, "firstword_stage_seconds_sum", **asr) == pytest.approx(0.05)
    assert value(metrics, "firstword_turns_total", profile="robin", outcome="answered") == 1


def test_turns_that_were_measured_differently_are_in_different_histograms() -> None:
    metrics = Metrics()
    metrics.turn(turn(1))
    metrics.turn(turn(2, heard_ms=None))
    metrics.turn(turn(3, measured_from="endpoint"))  # typed, and heard
    counted = {
        dict(labels)["to"]: count
        for (name, labels), count in values(metrics).items()
        if name == "firstword_first_response_seconds_count"
    }
    assert counted == {"heard": 1, "playout": 1, "typed": 1}


def test_counters_are_there_before_anything_went_wrong() -> None:
    metrics = Metrics()
    assert value(metrics, "firstword_errors_total", stage="tts") == 0
    assert value(metrics, "firstword_fallbacks_total", stage="tts") == 0
    assert value(metrics, "firstword_speculation_total", outcome="miss") == 0


def test_trouble_is_counted_at_the_stage_that_made_it() -> None:
    metrics = Metrics()
    metrics.turn(turn(1, error="llm openai: 500", first_response_ms=None, spans=()))
    metrics.turn(turn(2, fallbacks=("tts edge: no answer; the voice 'hibari' goes on.",)))
    metrics.turn(turn(3, error="no stage begins like this"))
    assert value(metrics, "firstword_errors_total", stage="llm") == 1
    assert value(metrics, "firstword_errors_total", stage="other") == 1
    assert value(metrics, "firstword_fallbacks_total", stage="tts") == 1
    assert value(metrics, "firstword_turns_total", profile="robin", outcome="failed") == 2


@pytest.mark.parametrize("stage", ["vad", "turn", "asr", "speaker"])
def test_what_listens_is_counted_when_it_fails_though_no_turn_does(stage: str) -> None:
    metrics = Metrics()
    assert value(metrics, "firstword_errors_total", stage=stage) == 0
    metrics.trouble(f"{stage}: it broke with ValueError()")
    assert value(metrics, "firstword_errors_total", stage=stage) == 1


def test_guesses_their_cost_and_what_they_saved_are_counted() -> None:
    metrics = Metrics()
    metrics.turn(guessed())
    assert value(metrics, "firstword_speculation_total", outcome="hit") == 1
    assert value(metrics, "firstword_speculation_total", outcome="miss") == 1
    assert value(metrics, "firstword_speculation_tokens_wasted_total") == 7
    assert value(metrics, "firstword_speculation_saved_seconds_total") == pytest.approx(0.2)


def test_a_caller_who_was_cut_off_is_counted() -> None:
    metrics = Metrics()
    metrics.turn(turn(1))
    metrics.turn(turn(2, reply=2, interrupted=True))
    metrics.turn(turn(2, reply=3))
    metrics.turn(turn(3, marks={"endpoint": -10.0}))
    assert value(metrics, "firstword_early_endpoints_total", profile="robin") == 2


def test_a_caller_who_heard_the_reply_cut_in_is_counted_and_is_no_barge_in() -> None:
    metrics = Metrics()
    metrics.turn(turn(1, interrupted=True, interrupted_after_ms=700.0, barge_in_ms=3000.0))
    metrics.turn(turn(2, interrupted=True, interrupted_after_ms=1700.0, barge_in_ms=150.0))
    assert value(metrics, "firstword_early_endpoints_total", profile="robin") == 1
    assert value(metrics, "firstword_early_endpoints_heard_total", profile="robin") == 1
    assert value(metrics, "firstword_barge_in_seconds_sum", profile="robin") == 0.15


def test_a_caller_who_hung_up_in_a_reply_is_no_interruption() -> None:
    metrics = Metrics()
    metrics.turn(turn(1, interrupted=True))
    metrics.turn(turn(2, interrupted=True, line_ended=True))
    for outcome in ("interrupted", "line_ended"):
        counted = value(metrics, "firstword_turns_total", profile="robin", outcome=outcome)
        assert counted == 1


def test_a_turn_that_was_cut_off_twice_is_one_turn() -> None:
    metrics = Metrics()
    metrics.turn(turn(1, reply=1, interrupted=True, marks={"endpoint": -10.0}))
    metrics.turn(turn(1, reply=2, interrupted=True))
    metrics.turn(turn(1, reply=3))
    assert value(metrics, "firstword_early_endpoints_total", profile="robin") == 1


def test_what_callers_say_never_becomes_a_label() -> None:
    metrics = Metrics()
    metrics.turn(turn(1, user_text="secret words", error="secret: words", reply_text="secret"))
    assert b"secret" not in metrics.text()


def test_calls_slots_queues_and_what_was_dropped_are_asked_at_each_scrape() -> None:
    metrics, house = Metrics(), House()
    metrics.watch(house)
    assert value(metrics, "firstword_calls") == 3
    assert value(metrics, "firstword_slots_free") == 5
    house.count, house.waiting = 8, {"records": 0}
    assert value(metrics, "firstword_slots_free") == 0
    assert value(metrics, "firstword_queue_items", queue="records") == 0
    assert value(metrics, "firstword_dropped_total", what="audio") == 2


# --- a real Prometheus ----------------------------------------------------------------------


def expressions() -> Iterator[str]:
    """Give every query of the dashboard, its variables filled in."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", []):
            expr = target["expr"].replace("$__rate_interval", "1m")
            yield expr.replace("$__range", "1m").replace("$profile", ".*")


def test_the_dashboard_asks_only_for_what_there_is() -> None:
    metrics = Metrics()
    metrics.watch(House())
    for record in (guessed(1), turn(2, barge_in_ms=150.0), turn(3, marks={"endpoint": -1.0})):
        metrics.turn(record)
    metrics.call_begun()
    metrics.call_refused(503)
    known = {name for name, _ in values(metrics)}
    asked = set(re.findall(r"\b(?:firstword|process)_\w+", " ".join(expressions())))
    assert len(asked) > 15
    assert asked <= known


@dataclass
class Scraped:
    """Figures that tell a test how often they were asked for."""

    metrics: Metrics
    _count: int = 0
    _news: anyio.Event = field(default_factory=anyio.Event)

    def text(self) -> bytes:
        self._count += 1
        self._news.set()
        self._news = anyio.Event()
        return self.metrics.text()

    async def taken_in(self) -> None:
        """Wait until Prometheus knows what is true now: it asks again when it has kept a scrape."""
        enough = self._count + 2
        with anyio.fail_after(SCRAPED_S):
            while self._count < enough:
                await self._news.wait()


@pytest.mark.timeout(60)
async def test_a_real_prometheus_scrapes_us_and_answers_the_dashboard(tmp_path: Path) -> None:
    metrics = Metrics()
    metrics.watch(House())
    metrics.turn(turn(1))
    scraped = Scraped(metrics)
    figures = Figures(scraped.text, lambda _: "", style())
    async with (
        served(ScriptedCalls(), figures=figures) as server,
        prometheus(tmp_path, server.url) as ask,
    ):
        await scraped.taken_in()
        assert await ask("up") == [1]
        metrics.turn(turn(2))  # a rate needs two scrapes that differ
        await scraped.taken_in()
        assert await ask("firstword_turns_total") == [2]
        [median] = await ask(
            next(e for e in expressions() if "(0.5," in e and "first_response" in e)
        )
        assert 0.5 <= median <= 0.6
        for expr in expressions():
            await ask(expr)


@asynccontextmanager
async def prometheus(
    folder: Path, target: str
) -> AsyncIterator[Callable[[str], Awaitable[list[float]]]]:
    """Run Prometheus, scraping ``target`` every second; give what asks it for numbers."""
    host = target.removeprefix("http://")
    config = folder / "prometheus.yml"
    config.write_text(
        "scrape_configs:\n"
        "  - job_name: firstword\n"
        "    scrape_interval: 1s\n"  # and no scrape may take longer
        f"    static_configs: [{{targets: ['{host}']}}]\n"
    )
    command = [program("prometheus"), f"--config.file={config}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", "--web.listen-address=127.0.0.1:0"]
    listens = r'"Listening on" address=(\S+)[^\0]*ready to receive web requests'
    async with running(command, listens) as found, httpx.AsyncClient(timeout=10) as client:

        async def ask(query: str) -> list[float]:
            url = f"http://{found[1]}/api/v1/query"
            answer = (await client.get(url, params={"query": query})).json()
            assert answer["status"] == "success", (query, answer)
            return [float(each["value"][1]) for each in answer["data"]["result"]]

        yield ask


async def test_metrics_are_behind_the_token_where_there_is_one() -> None:
    from pydantic import SecretStr

    metrics = Metrics()
    figures = Figures(metrics.text, lambda _: "<p>report</p>", style())
    async with served(ScriptedCalls(), figures=figures, token=SecretStr("open-sesame")) as server:
        for path in ("/metrics", "/api/report"):
            status, _, _ = await server.ask("GET", path)
            assert status == 401
        headers = {"Authorization": "Bearer open-sesame"}
        status, body, response = await server.ask("GET", "/metrics", headers=headers)
        assert status == 200
        assert "firstword_event_loop_stalls_total 0.0" in body
        assert response.headers["Content-Type"] == CONTENT_TYPE
        _, body, _ = await server.ask("GET", "/api/report", headers=headers)
        assert body == "<p>report</p>"


def test_what_a_stage_counts_is_shown_with_whose_it_is() -> None:
    metrics = Metrics()
    open_stages = [
        ("asr", "campp", 1, {"slots": 8.0, "packets_total": 12.0}),
        ("asr", "campp", 2, {"slots": 4.0, "packets_total": 0.0}),
    ]
    metrics.watch_stages(lambda: open_stages)
    assert value(metrics, "firstword_asr_slots", engine="campp", number="1") == 8
    assert value(metrics, "firstword_asr_packets_total", engine="campp", number="1") == 12
    open_stages[1][3]["packets_total"] = 5.0
    assert value(metrics, "firstword_asr_packets_total", engine="campp", number="2") == 5
