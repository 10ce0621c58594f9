from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from stages.asr.campp.training.sentences import LONGEST, Grammar, NotAGrammar
from stages.asr.campp.training.text import TOKENS, encoded, foreign, frames_needed, normalised


def test_every_sentence_can_be_spelled_with_the_tokens() -> None:
    grammar, rng = Grammar.read(), random.Random(1)

    for _ in range(2000):
        text = grammar.draw(rng)
        assert not foreign(text)
        assert text == normalised(text)
        assert 0 < len(text) <= LONGEST


def test_sentences_are_many_and_the_same_for_the_same_seed() -> None:
    grammar = Grammar.read()

    def drawn(seed: int) -> list[str]:
        rng = random.Random(seed)
        return [grammar.draw(rng) for _ in range(500)]

    assert drawn(1) == drawn(1)
    assert len(set(drawn(1))) > 400
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("begin: hello", "it has no rule 'start'"),
        ("start: hello {name}", "start names 'name', which is no rule"),
        ("  | hello", "line 1 is neither a rule"),
        ("start: hello\nwhat is this", "line 2 is neither a rule"),
    ],
)
def test_a_file_that_is_no_grammar_is_refused_with_the_reason(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "g.txt").write_text(text)

    with pytest.raises(NotAGrammar, match=re.escape(reason)):
        Grammar.read(tmp_path / "g.txt")


def test_a_rule_goes_on_in_the_next_line(tmp_path: Path) -> None:
    (tmp_path / "g.txt").write_text("# greetings\nstart: hello\n    | hi {who}\nwho: anna\n")
    grammar = Grammar.read(tmp_path / "g.txt")

    assert {grammar.draw(random.Random(seed)) for seed in range(30)} == {"hello", "hi anna"}


def test_twins_need_a_frame_between_them() -> None:
    assert frames_needed(encoded("hello")) == 6
    assert [TOKENS[number] for number in encoded("a b")] == ["a", "▁", "b"]
