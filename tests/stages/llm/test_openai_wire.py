"""What a chat-completions server sends, read without a server."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.llm.openai.wire import Thoughts, own_words, retry_after


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "<th", "ink>", "a", " b", "/"])))
def test_thoughts_are_the_same_however_they_are_cut(parts: list[str]) -> None:
    whole, pieces = Thoughts(), Thoughts()
    text = "".join(parts)
    expected = whole.push(text) + whole.rest()
    assert "".join(pieces.push(part) for part in text) + pieces.rest() == expected


@given(st.text(alphabet="<abc 你>"))
def test_a_text_without_thoughts_is_left_alone(text: str) -> None:
    thoughts = Thoughts()
    assert thoughts.push(text) + thoughts.rest() == text.lstrip()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error": {"message": "Bad key"}}', "Bad key"),
        ('{"error": "model not found"}', "model not found"),
        ('{"detail": "Not Found"}', "Not Found"),
        ('{"message": "nope", "code": 3}', "nope"),
        ('{"detail": [{"loc": ["body"]}]}', '{"detail": [{"loc": ["body"]}]}'),
        ("<html><h1>502 Bad Gateway</h1></html>", "502 Bad Gateway"),
        ("", ""),
    ],
)
def test_the_servers_own_words_are_found(body: str, words: str) -> None:
    assert own_words(body) == words


def test_retry_after_may_be_seconds_a_date_or_nonsense() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    later = format_datetime(datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC), usegmt=True)
    headers = [httpx.Headers({"retry-after": value}) for value in ("7", later, "soon", "")]
    assert [retry_after(it, now) for it in headers] == [7, 30, None, None]
