"""Builds the graph that WFST decoding walks: T (CTC) over L (lexicon) over G (language model).

Needs the extra ``wfst``. The parts are joined in the usual way: disambiguation symbols make L
and G deterministic, and disappear when T is put before them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import kaldifst
import kaldilm

from stages.errors import UserError

GRAPH, WORDS, TOKENS, LEXICON = "TLG.fst", "words.txt", "tokens.txt", "lexicon.txt"
BACK_OFF = "#0"


class NotALexicon(UserError):
    """A lexicon that cannot be used."""

    def __init__(self, file: Path, line: int, reason: str) -> None:
        self.file, self.line, self.reason = file, line, reason
        super().__init__(f"{file}:{line}: {reason}.")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words with the tokens that spell them; a word may stand several times."""

    entries: tuple[tuple[str, tuple[str, ...]], ...]

    @classmethod
    def read(cls, file: Path, tokens: Sequence[str]) -> Lexicon:
        """Read lines of a word and its tokens.

        Raises:
            NotALexicon: a line has no tokens, or one that the model does not have.
        """
        known, entries = set(tokens), []
        for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1):
            word, *spelling = line.split() or [""]
            if not word:
                continue
            unknown = [token for token in spelling if token not in known]
            if not spelling or unknown:
                reason = f"the model has no token {unknown[0]!r}" if unknown else "it has no tokens"
                raise NotALexicon(file, number, f"{word!r}: {reason}")
            entries.append((word, tuple(spelling)))
        if not entries:
            raise NotALexicon(file, 1, "there are no words in it")
        return cls(tuple(entries))

    @property
    def words(self) -> list[str]:
        """Every word once, in order."""
        return list(dict.fromkeys(word for word, _ in self.entries))


def build(tokens: Sequence[str], blank: int, lexicon: Lexicon, arpa: Path, folder: Path) -> int:
    """Build a graph into a folder; return its states.

    Args:
        tokens: of the model, in order.
        blank: number of the blank among them.
        lexicon: words spelled in these tokens.
        arpa: n-grams over these words; n-grams with other words are left out.
        folder: gets the graph, its words and its tokens.

    Raises:
        UserError: nothing of the language model is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = ["<eps>", *lexicon.words, BACK_OFF, "<s>", "</s>"]
    (folder / WORDS).write_text(_table(words), "utf-8")
    (folder / TOKENS).write_text(_table(tokens), "utf-8")
    lines = (f"{word} {' '.join(spelling)}\n" for word, spelling in lexicon.entries)
    (folder / LEXICON).write_text("".join(lines), "utf-8")
    marks = max(Counter(spelling for _, spelling in lexicon.entries).values())
    grammar = _grammar(arpa, folder / WORDS)
    spelled = _lexicon(tokens, lexicon, words, grammar)
    graph = kaldifst.compose(_ctc(tokens, blank, marks), spelled)
    kaldifst.connect(graph)
    if graph.num_states == 0:
        raise UserError(f"{arpa} and the lexicon have no sentence in common: the graph is empty.")
    kaldifst.arcsort(graph, sort_type="ilabel")
    graph.write(str(folder / GRAPH))
    return int(graph.num_states)


def _table(symbols: Iterable[str]) -> str:
    return "".join(f"{symbol} {number}\n" for number, symbol in enumerate(symbols))


def _grammar(arpa: Path, words: Path) -> kaldifst.StdVectorFst:
    try:
        text = kaldilm.arpa2fst(
            input_arpa=str(arpa),
            output_fst="",
            disambig_symbol=BACK_OFF,
            read_symbol_table=str(words),
            max_arpa_warnings=0,
        )
    except RuntimeError as error:
        raise UserError(f"{arpa} is no ARPA language model: {error}.") from error
    grammar = kaldifst.compile(text, acceptor=False)
    kaldifst.arcsort(grammar, sort_type="ilabel")
    return grammar


def _lexicon(
    tokens: Sequence[str], lexicon: Lexicon, words: list[str], grammar: kaldifst.StdVectorFst
) -> kaldifst.StdVectorFst:
    """L over G, deterministic: token labels in, words out. A token's label is its number + 1."""
    label = {token: number + 1 for number, token in enumerate(tokens)}
    number = {word: index for index, word in enumerate(words)}
    first_mark = len(tokens) + 1
    fst = kaldifst.StdVectorFst()
    start = fst.add_state()
    fst.start = start
    fst.set_final(start, 0.0)
    seen: Counter[tuple[str, ...]] = Counter()
    for word, spelling in lexicon.entries:
        seen[spelling] += 1  # every entry ends with a mark, so no word hides behind another
        labels = [*(label[token] for token in spelling), first_mark + seen[spelling]]
        here = start
        for index, one in enumerate(labels):
            there = start if index == len(labels) - 1 else fst.add_state()
            out = number[word] if index == 0 else 0
            fst.add_arc(here, kaldifst.StdArc(one, out, 0.0, there))
            here = there
    kaldifst.add_self_loops(fst, [first_mark], [number[BACK_OFF]])
    kaldifst.arcsort(fst, sort_type="olabel")
    joined = kaldifst.compose(fst, grammar)
    kaldifst.determinize_star(joined)
    kaldifst.minimize_encoded(joined)
    kaldifst.arcsort(joined, sort_type="ilabel")
    return joined


def _ctc(tokens: Sequence[str], blank: int, marks: int) -> kaldifst.StdVectorFst:
    """T: frames in, tokens out. Repeats are one token, blanks none; marks pass by themselves.

    To say a token twice without a blank between costs what the language model asks for the
    second one, so the cheaper reading, one long token, wins.
    """
    fst = kaldifst.StdVectorFst()
    start, ready, after = (fst.add_state() for _ in range(3))
    fst.start = start
    fst.set_final(start, 0.0)
    fst.add_arc(start, kaldifst.StdArc(0, 0, 0.0, ready))
    fst.add_arc(ready, kaldifst.StdArc(blank + 1, 0, 0.0, ready))
    fst.set_final(ready, 0.0)
    fst.add_arc(after, kaldifst.StdArc(blank + 1, 0, 0.0, after))
    fst.add_arc(after, kaldifst.StdArc(0, 0, 0.0, start))
    for number in range(len(tokens)):
        if number == blank:
            continue
        state = fst.add_state()
        fst.add_arc(ready, kaldifst.StdArc(number + 1, number + 1, 0.0, state))
        fst.add_arc(state, kaldifst.StdArc(number + 1, 0, 0.0, state))
        fst.add_arc(state, kaldifst.StdArc(0, 0, 0.0, after))
    for mark in range(marks + 1):
        fst.add_arc(start, kaldifst.StdArc(0, len(tokens) + 1 + mark, 0.0, start))
    kaldifst.arcsort(fst, sort_type="olabel")
    return fst

