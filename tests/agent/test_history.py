"""The conversation as it was heard."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.history import LONGEST, History, Span, as_sentence, heard
from stages.events import Message, Word

SYSTEM = Message("system", "You are kind.")


def stamped(text: str, each: int = 100) -> tuple[Word, ...]:
    words = text.split()
    return tuple(Word(word, n * each, (n + 1) * each) for n, word in enumerate(words))


# --- what was heard of a reply --------------------------------------------------------------


def test_a_reply_that_came_to_its_end_was_heard_whole() -> None:
    spans = [Span("Hello. ", 0, 100), Span("🙂", 100)]
    assert heard(spans, 100, complete=True) == "Hello. 🙂"


def test_one_that_never_sounded_was_not_heard() -> None:
    assert heard([Span("Hello.", 0, 100)], 0, complete=False) == ""
    assert heard([Span("Hello.", 0)], 0, complete=False) == ""
    assert heard([], 0, complete=False) == ""


def test_a_cut_falls_after_the_last_word_that_had_ended() -> None:
    text = "one two three four"
    span = Span(text, 1000, 1400, stamped(text))
    cuts = {1000: "", 1099: "", 1100: "one", 1199: "one", 1250: "one two", 1399: "one two three"}
    assert {at: heard([span], at, complete=False) for at in cuts} == cuts
    assert heard([span], 1400, complete=False) == text


def test_without_stamps_it_is_reckoned_by_even_speed() -> None:
    span = Span("one two three four", 0, 1800)
    assert heard([span], 900, complete=False) == "one two"
    assert heard([span], 300, complete=False) == ""


def test_chinese_is_cut_between_characters() -> None:
    span = Span("今天天气很好。", 0, 700)
    assert heard([span], 350, complete=False) == "今天天"


def test_chinese_stamps_are_found_in_the_text() -> None:
    words = tuple(Word(text, n * 100, n * 100 + 100) for n, text in enumerate(("今天", "天气")))
    assert heard([Span("今天，天气很好。", 0, 400, words)], 200, complete=False) == "今天，天气"


def test_words_that_the_voice_respells_do_not_run_ahead() -> None:
    """The voice says "no" for "№"; the "no" far off in the text is another one."""
    words = (Word("Give", 0, 10), Word("no", 10, 20), Word("five", 20, 30))
    text = "Give № 5 to the man who stands there, and nobody else: no."
    assert heard([Span(text, 0, 400, words)], 25, complete=False) == "Give"


def test_clauses_that_had_ended_are_whole_and_later_ones_absent() -> None:
    spans = [Span("One. ", 0, 100), Span("Two three.", 100, 300), Span("Four.", 300, 400)]
    assert heard(spans, 210, complete=False) == "One. Two"


TEXTS = st.text(alphabet="ab 今天。，.!5", min_size=1, max_size=20)


@st.composite
def replies(draw: st.DrawFn) -> list[Span]:
    spans, place = list[Span](), 0
    for text in draw(st.lists(TEXTS, max_size=5)):
        length = draw(st.integers(1, 500))
        words = stamped(text, draw(st.integers(1, 80))) if draw(st.booleans()) else ()
        spans.append(Span(text, place, place + length, words))
        place += length
    return spans


@given(replies(), st.integers(0, 2500), st.integers(0, 2500))
def test_what_was_heard_begins_the_text_and_only_grows(
    spans: list[Span], one: int, other: int
) -> None:
    text = "".join(span.text for span in spans)
    less, more = (heard(spans, at, complete=False) for at in sorted((one, other)))
    assert text.strip().startswith(more)
    assert more.startswith(less)
    assert heard(spans, 2500, complete=False) == text.strip()


# --- the next request -----------------------------------------------------------------------


def test_a_request_begins_with_the_opening_and_ends_with_the_caller() -> None:
    history = History((SYSTEM,))
    history.reply(0, "Hello!")
    history.user(1, "Hi.")
    history.reply(1, "How are you?")
    assert history.request(2, "Fine.") == (
        SYSTEM,
        Message("assistant", "Hello!"),
        Message("user", "Hi."),
        Message("assistant", "How are you?"),
        Message("user", "Fine."),
    )


def test_words_that_got_no_answer_are_joined_to_the_next() -> None:
    history = History((SYSTEM,))
    history.user(1, "Hello?")
    history.reply(1, "")
    history.user(2, "Anybody?")
    assert history.request(3, "Please.") == (SYSTEM, Message("user", "Hello? Anybody? Please."))
    assert list(history) == [Message("user", "Hello? Anybody?")]


def test_the_comma_that_a_transcript_ends_in_is_a_full_stop_to_the_llm() -> None:
    history = History((SYSTEM,))
    asked = Message("user", "Ten of clubs.")
    assert history.request(1, "Ten of clubs,") == history.request(1, "Ten of clubs.")
    history.user(1, "Ten of clubs,")
    assert list(history) == [asked]
    assert as_sentence("梅花十，") == "梅花十。"
    assert as_sentence("Is it?") == "Is it?"
    assert as_sentence("two thirty") == "two thirty"
    assert as_sentence(",") == ","


def test_a_turn_that_grew_replaces_its_first_piece() -> None:
    history = History((SYSTEM,))
    history.user(1, "Book a table")
    history.reply(1, "")
    assert history.request(1, "Book a table for two") == (
        SYSTEM,
        Message("user", "Book a table for two"),
    )
    history.user(1, "Book a table for two")
    history.reply(1, "Done.")
    assert [message.content for message in history] == ["Book a table for two", "Done."]


def test_a_guess_leaves_no_trace() -> None:
    history = History((SYSTEM,))
    history.request(1, "What")
    assert list(history) == []


def test_a_reply_is_remembered_where_its_turn_stands() -> None:
    """A typed message may come before the reply to the last one is known to be over."""
    history = History((SYSTEM,))
    history.user(1, "One?")
    history.user(2, "Two?")
    history.reply(1, "First.")
    assert [message.content for message in history] == ["One?", "First.", "Two?"]


def test_what_is_too_long_goes_by_halves_so_that_a_prefix_cache_holds_for_many_turns() -> None:
    history = History((SYSTEM,))
    beginnings = []
    for number in range(1, 61):
        history.user(number, f"{number:03} {'a' * 196}")
        history.reply(number, "b" * 200)
        beginnings.append(history.request(99, "now")[1].content[:3])
    changes = sum(one != other for one, other in pairwise(beginnings))
    assert changes == 7  # fourteen turns fill it; seven stay


def test_a_long_call_is_held_to_what_requests_can_tell() -> None:
    history = History((SYSTEM,))
    for number in range(1, 1_001):
        history.user(number, "a" * 200)
        history.reply(number, "b" * 200)
    assert sum(len(message.content) for message in history) <= LONGEST


def test_the_reply_to_a_very_long_turn_still_finds_it() -> None:
    history = History((SYSTEM,))
    history.user(1, "Hello.")
    history.user(2, "a" * 2 * LONGEST)
    history.reply(1, "Hi.")  # it comes late: its turn was let go
    history.reply(2, "That was long.")
    assert [message.content[-5:] for message in history] == ["aaaaa", "long."]


@given(st.lists(st.tuples(st.text("ab", max_size=3000), st.text("cd", max_size=3000)), max_size=9))
def test_a_request_is_bounded_and_forgets_the_oldest(turns: list[tuple[str, str]]) -> None:
    history = History((SYSTEM,))
    for number, (user, reply) in enumerate(turns):
        history.user(number, user)
        history.reply(number, reply)
    first, *rest, last = history.request(99, "now")
    assert first == SYSTEM
    assert last.role == "user"
    assert last.content.endswith("now")
    joints = len(turns)  # a space where words without an answer are joined
    assert sum(len(message.content) for message in (*rest, last)) <= LONGEST + joints
    roles = [message.role for message in (*rest, last)]
    assert ("user", "user") not in pairwise(roles)
    told = "".join(message.content for message in rest if message.role == "assistant")
    assert "".join(reply for _, reply in turns).endswith(told)
