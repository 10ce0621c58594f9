from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stages.asr.moonshine.agreement import Agreement

texts = st.lists(st.text("ab. ", max_size=30), max_size=12)


def test_two_partials_that_agree_promise_their_words_but_the_last() -> None:
    promises = Agreement()
    assert promises.take("turn on the lamb") == ("turn on the lamb", 0)
    text, stable = promises.take("turn on the lamp in")
    assert text[:stable] == "turn on the"


def test_a_promise_is_kept_when_the_model_changes_its_mind() -> None:
    promises = Agreement()
    promises.take("how old is the bridge")
    promises.take("how old is the bridge today")
    text, stable = promises.take("How cold is the Brooklyn Bridge")
    assert text == "how old is the Brooklyn Bridge"
    assert text[:stable] == "how old is the"


def test_a_word_that_the_model_drops_again_is_not_said_twice() -> None:
    promises = Agreement()
    promises.take("well I would like a")
    promises.take("well I would like a room")
    assert promises.take("I would like a room tonight")[0] == "well I would like a room tonight"


def test_marks_and_capitals_are_no_disagreement() -> None:
    promises = Agreement()
    promises.take("Hello, gemini are")
    text, stable = promises.take("Hello. Gemini are you")
    assert text[:stable] == "Hello Gemini"


@given(texts)
def test_what_was_promised_is_never_taken_back(partials: list[str]) -> None:
    promises, promised = Agreement(), ""
    for partial in partials:
        text, stable = promises.take(partial)
        assert text.startswith(promised)
        assert text[:stable].startswith(promised)
        promised = text[:stable]
