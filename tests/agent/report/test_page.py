"""The HTML report: one file, nothing from elsewhere, foreign text as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from agent.report import Selection, compare
from agent.report.figures import ORDER
from agent.report.page import comparison_page, fragment, page, style
from agent.timeline import Lateness, TurnRecord
from tests.agent.report.turns import guessed, stalled, turn

EVIL = '<script>alert("1")</script><img src=x onerror=alert(1)>'


class Seen(HTMLParser):
    """Collects tags and what they fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []
        self.styled = False
        self.handlers: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "data") or (name == "href" and not (value or "").startswith("#")):
                self.fetched.append(value or "")
            self.styled = self.styled or name == "style"
            if name.startswith("on"):
                self.handlers.append(name)


def some() -> Selection:
    turns = [turn(n, heard_ms=575.0 + 31 * n) for n in range(1, 14)]
    return Selection("robin", (*turns, guessed(14), turn(15, heard_ms=None)))


def test_the_report_is_one_file_that_asks_for_nothing() -> None:
    html = page(some())
    seen = Seen(html)
    assert seen.fetched == []
    assert "script" not in seen.tags
    assert not re.search(r"url\(|@import|https?://", html)
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_what_callers_and_models_said_stays_text() -> None:
    evil = turn(1, user_text=EVIL, reply_text=EVIL, error=EVIL, profile=EVIL, call=EVIL)
    stages = {"llm": EVIL}
    odd = turn(2, stages=stages, fallbacks=(EVIL,), spans=((EVIL, 600.0),), started_at=EVIL)
    html = page(Selection(EVIL, (evil, odd)))
    seen = Seen(html)
    assert "script" not in seen.tags
    assert "img" not in seen.tags
    assert seen.handlers == []
    assert "&lt;script&gt;" in html


def test_the_contents_need_no_inline_styles_so_the_servers_policy_lets_them_through() -> None:
    seen = Seen(fragment(some()))
    assert not seen.styled
    assert "style" not in seen.tags


def test_every_picture_is_well_formed_and_has_words_for_those_who_cannot_see_it() -> None:
    pictures = re.findall(r"<svg.*?</svg>", page(some()), re.DOTALL)
    assert len(pictures) > 10
    for picture in pictures:
        root = ElementTree.fromstring(picture)
        assert root.get("aria-label") or root.get("aria-hidden")


def test_every_stage_has_its_colour_those_that_few_turns_have_too() -> None:
    used = set(re.findall(r'class="s-(\w+)', page(some())))
    assert used
    for name in used | set(ORDER):
        assert re.search(rf"\.s-{name}(, \.s-\w+)* {{", style()), name


def test_the_median_turn_and_the_slowest_are_drawn() -> None:
    html = page(some())
    assert "The median turn: 761 ms" in html
    assert "The slowest turn: 978 ms" in html


def test_a_slow_turn_says_whether_the_event_loop_was_to_blame() -> None:
    on_time = turn(3, event_loop=Lateness(worst_ms=4.2, stalls=0, stalled_ms=0.0))
    html = page(Selection("robin", (stalled(1, heard_ms=900.0), turn(2), on_time)))
    blamed = "The event loop stalled 2 times in this wait, for 120 ms (80 ms at worst)."
    assert html.count(blamed) == 2  # at its picture, and in the list
    assert html.count("The event loop kept time: 4 ms late at worst.") == 1
    assert "1 of 2" in html
    assert "stalled once in this wait, for 60 ms." in page(Selection("one", (stalled(1, 1),)))
    assert "event loop" not in page(Selection("unwatched", (turn(1),)))


def test_two_replies_of_a_turn_have_a_row_each() -> None:
    html = page(Selection("robin", (turn(1, reply=2), turn(1, reply=3))))
    assert html.count('id="t-call-a-1-2"') == html.count('id="t-call-a-1-3"') == 1


@pytest.mark.parametrize("records", [(), (turn(1),), (turn(1, first_response_ms=None, spans=()),)])
def test_few_turns_or_none_still_make_a_report(records: tuple[TurnRecord, ...]) -> None:
    html = page(Selection("few", records))
    assert "Where the wait went" in html
    assert "nan" not in html


def test_a_comparison_shows_both_and_what_changed() -> None:
    a = Selection("quick", tuple(turn(n, heard_ms=580.0 + n) for n in range(1, 12)))
    b = Selection("patient", tuple(turn(n, heard_ms=880.0 + n) for n in range(1, 12)))
    html = comparison_page(compare(a.records, b.records, (a.name, b.name)), a, b)
    assert "patient is 300 ms slower than quick at the median" in html
    assert Seen(html).fetched == []


def test_a_comparison_of_nothing_says_so() -> None:
    a, b = Selection("quick", ()), Selection(EVIL, ())
    html = comparison_page(compare(a.records, b.records, (a.name, b.name)), a, b)
    assert "quick has no turn whose wait was measured" in html
    assert "script" not in Seen(html).tags
