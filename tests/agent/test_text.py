"""A reply cut where a speaker would breathe, and said as a speaker would say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.text import ClauseCutter, spoken
from stages.events import Clause

CASES = Path(__file__).resolve().parents[1] / "data" / "clauses.jsonl"


def cases() -> list[Any]:
    lines = CASES.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if not line.startswith("#")]


def cut(text: str, language: str, size: int = 0) -> tuple[list[Clause], str]:
    """Feed a text in pieces of a size (0: whole); return its clauses and what is never said."""
    cutter = ClauseCutter(language)
    size = size or max(1, len(text))
    clauses = [c for at in range(0, len(text), size) for c in cutter.feed(text[at : at + size])]
    return clauses + cutter.flush(), cutter.unspoken


@pytest.mark.parametrize("size", [0, 1, 2])
@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_a_reply_is_cut_and_said_as_a_listener_would_want(case: Any, size: int) -> None:
    clauses, _ = cut(case["input"], case["language"], size)
    assert [{"text": c.text, "spoken": c.spoken} for c in clauses] == case["clauses"]


def test_the_public_cases_are_many_and_each_has_its_own_name() -> None:
    names = [case["id"] for case in cases()]
    assert len(names) >= 150
    assert len(set(names)) == len(names)


# Text as models write it, and worse: every sign the rules look at, beside one another.
SIGNS = "。！？；…，、：.!?,;:\n \"'“”‘’（）()[]*_`~#-|<>/@$￥%+=&你好吗我一二个年月日点分元aI嗯50"
WORDS = "…… ** Hello Dr. e.g. p.m. U.S. well 3:30 1,299.5 3.14 2024 😊 👍🏽 ``` https://a.com/b?c=1"
LINES = ["- ", "1. ", "# ", "No. ", "the end"]
pieces = st.sampled_from([*SIGNS, *WORDS.split(), *LINES])
texts = st.lists(pieces, max_size=40).map("".join) | st.text(max_size=60)
languages = st.sampled_from(["zh-CN", "en", "en-GB", "fr", "ja"])


@given(texts, languages)
def test_nothing_is_lost_and_nothing_doubled(text: str, language: str) -> None:
    clauses, rest = cut(text, language, 1)
    assert "".join(clause.text for clause in clauses) + rest == text
    assert [clause.number for clause in clauses] == list(range(len(clauses)))
    assert all(clause.spoken for clause in clauses)


@given(texts, languages, st.data())
def test_how_the_text_is_chopped_changes_nothing(
    text: str, language: str, data: st.DataObject
) -> None:
    cutter = ClauseCutter(language)
    clauses: list[Clause] = []
    at = 0
    while at < len(text):
        size = data.draw(st.integers(1, 12))
        clauses += cutter.feed(text[at : at + size])
        at += size
    assert (clauses + cutter.flush(), cutter.unspoken) == cut(text, language)


@given(texts, languages, st.data())
def test_an_impatient_caller_loses_nothing_either(
    text: str, language: str, data: st.DataObject
) -> None:
    cutter = ClauseCutter(language)
    clauses: list[Clause] = []
    for sign in text:
        clauses += cutter.feed(sign)
        if data.draw(st.integers(0, 4)) == 0:
            clauses += cutter.overdue()
    clauses += cutter.flush()
    assert "".join(clause.text for clause in clauses) + cutter.unspoken == text
    assert all(clause.spoken for clause in clauses)


@given(texts)
def test_what_is_said_has_no_digits_where_we_write_them_out(text: str) -> None:
    for language in ("zh", "en"):
        assert not any(sign.isascii() and sign.isdigit() for sign in spoken(text, language))


@given(texts)
def test_what_is_said_is_one_line_without_markup(text: str) -> None:
    for language in ("zh", "en"):
        said = spoken(text, language)
        assert not set(said) & set('\n*`#|[]()（）“”"😊<>')


def test_after_the_flush_only_what_cannot_be_said_is_left() -> None:
    clauses, rest = cut("Done. 😊", "en")
    assert [clause.text for clause in clauses] == ["Done. "]
    assert rest == "😊"
    assert cut("😊", "en") == ([], "😊")
    assert cut("", "en") == ([], "")


def test_an_overdue_clause_is_cut_after_the_last_whole_word() -> None:
    cutter = ClauseCutter("en")
    assert cutter.feed("I was about to tell you someth") == []
    assert [clause.text for clause in cutter.overdue()] == ["I was about to tell you "]
    assert [clause.text for clause in cutter.feed("ing. ") + cutter.flush()] == ["something. "]


def test_an_overdue_cut_keeps_numbers_and_links_whole() -> None:
    cutter = ClauseCutter("en")
    cutter.feed("It takes about 15 min")
    assert [clause.text for clause in cutter.overdue()] == ["It takes about "]
    cutter = ClauseCutter("en")
    cutter.feed("[the docs and more](http")
    assert cutter.overdue() == []


def test_an_overdue_sentence_need_not_wait_for_what_follows_it() -> None:
    cutter = ClauseCutter("zh")
    assert cutter.feed("你好！") == []
    assert [clause.text for clause in cutter.overdue()] == ["你好！"]


def test_an_overdue_number_waits_for_its_end() -> None:
    cutter = ClauseCutter("en")
    cutter.feed("3.")
    assert cutter.overdue() == []


def test_an_overdue_filler_is_not_said_alone() -> None:
    cutter = ClauseCutter("zh")
    cutter.feed("嗯")
    assert cutter.overdue() == []
    assert cutter.feed("，好的。")[0].text == "嗯，好的。"


def test_a_sentence_without_any_mark_does_not_grow_for_ever() -> None:
    clauses, _ = cut("我们走" * 100, "zh", 1)
    assert max(len(clause.text) for clause in clauses) <= 80
    clauses, _ = cut("and then we went on " * 60, "en", 1)
    assert max(len(clause.text.split()) for clause in clauses) <= 60
    assert all(clause.text.endswith(" ") for clause in clauses[:-1])


def test_a_bracket_that_never_closes_does_not_hold_the_reply() -> None:
    clauses, _ = cut("(oops " + "and on we go. " * 30, "en", 1)
    assert len(clauses) > 5


def test_a_long_block_of_code_is_shown_and_not_said() -> None:
    code = "```py\n" + "x = 1.5; print('hello. there')\n" * 100 + "```\n"
    clauses, rest = cut("Look. " + code + "That is all. Bye.", "en", 3)
    assert [clause.spoken for clause in clauses] == ["Look.", "That is all.", "Bye."]
    assert clauses[1].text == code + "That is all. "
    assert rest == ""


FLOODS = [*".。!(😊 \n*`1a", "1-", "1,", "嗯。", "/a", "Dr. ", "<a"]


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_of_one_sign_is_held_back_no_longer_than_it_must(flood: str) -> None:
    text = flood * (3000 // len(flood)) + ".5th end"
    for language in ("zh", "en"):
        clauses, rest = cut(text, language)
        assert "".join(clause.text for clause in clauses) + rest == text
        assert max([len(clause.spoken) for clause in clauses], default=0) < 7000


def test_other_languages_keep_their_numbers_for_their_own_voice() -> None:
    assert spoken("Il coûte **12,50** €.", "fr") == "Il coûte 12,50 €."
