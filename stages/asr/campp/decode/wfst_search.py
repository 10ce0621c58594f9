"""WFST decoding itself, without processes: needs the extra ``wfst``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import kaldi_decoder
import kaldifst
import numpy as np

from stages.asr.campp.decode.hypothesis import SPACE, LogProbs
from stages.asr.campp.decode.tlg import GRAPH, LEXICON, TOKENS, WORDS, Lexicon
from stages.errors import UserError


@dataclass(frozen=True, slots=True)
class Rules:
    """How to search; the blank is a token's number."""

    blank: int = 0
    beam: float = 12.0
    active: int = 3000
    scale: float = 1.0
    skip: float = 0.98


@dataclass(frozen=True, slots=True)
class WordSpan:
    """A word of the lexicon and its first and last frame."""

    text: str
    first: int
    last: int


class TokenGraph:
    """A graph from disk, shared by every search of a process."""

    def __init__(self, folder: Path, tokens: tuple[str, ...]) -> None:
        try:
            self.words = _symbols(folder / WORDS)
            self.fst = kaldifst.StdVectorFst.read(str(folder / GRAPH))
            known = tuple(_symbols(folder / TOKENS))
            self._spellings = _spellings(Lexicon.read(folder / LEXICON, known), known)
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(
                f"graph: {folder} holds no graph by `firstword asr graph`: {error}."
            ) from error
        if known != tokens:
            raise UserError(f"graph: {folder} was built for a model with other tokens.")

    def spelled(self, word: str, tokens: list[int]) -> int:
        """Return with how many tokens the word stands at the start of these; 0 if it does not."""
        return max(
            (len(one) for one in self._spellings[word] if tokens[: len(one)] == list(one)),
            default=0,
        )


class Search:
    """One utterance. Likely blanks are skipped: they cost most of the time and decide nothing."""

    def __init__(self, graph: TokenGraph, rules: Rules) -> None:
        self._graph, self._rules = graph, rules
        self._chosen: list[LogProbs] = []
        self._places: list[int] = []  # frame of every chosen row
        self._gap: LogProbs | None = None  # a blank that was skipped since the last chosen row
        self.frames = 0
        self.spoken = -1  # last frame whose likeliest token was no blank
        self._decoder = self._fresh()
        self._decoded = 0

    def take(self, log_probs: LogProbs) -> list[WordSpan]:
        """Go on by these frames; return the best words now."""
        if self._decoded > len(self._chosen):  # a look went further than what was kept
            self._decoder, self._decoded = self._fresh(), 0
        for row in log_probs:
            self._choose(row)
        self._advance()
        return self._best(ended=False)

    def look(self, log_probs: LogProbs) -> list[WordSpan]:
        """Return the words if the utterance ended with these frames; they are not kept.

        The search itself cannot be copied: it goes on into these frames, and the next ``take``
        begins again from the chosen rows, when nobody waits for a final.
        """
        kept = list(self._chosen), list(self._places), self._gap, self.frames, self.spoken
        if self._decoded > len(self._chosen):
            self._decoder, self._decoded = self._fresh(), 0
        for row in log_probs:
            self._choose(row)
        self._advance()
        words = self._best(ended=True)
        self._chosen, self._places, self._gap, self.frames, self.spoken = kept
        return words

    def _fresh(self) -> kaldi_decoder.FasterDecoder:
        options = kaldi_decoder.FasterDecoderOptions(
            beam=self._rules.beam, max_active=self._rules.active, min_active=200
        )
        decoder = kaldi_decoder.FasterDecoder(self._graph.fst, options)
        decoder.init_decoding()
        return decoder

    def _choose(self, row: LogProbs) -> None:
        best = int(row.argmax())
        if best != self._rules.blank:
            self.spoken = self.frames
        if row[self._rules.blank] > np.log(self._rules.skip):
            self._gap = row
        else:
            if self._gap is not None and self._chosen and int(self._chosen[-1].argmax()) == best:
                self._keep(self._gap)  # the same token again: a blank must part the two
            self._keep(row)
            self._gap = None
        self.frames += 1

    def _keep(self, row: LogProbs) -> None:
        self._chosen.append(row)
        self._places.append(self.frames)

    def _advance(self) -> None:
        new = self._chosen[self._decoded :]
        if new:
            rows = np.ascontiguousarray(np.stack(new) * np.float32(self._rules.scale))
            decodable = kaldi_decoder.DecodableCtc(rows, offset=self._decoded)
            self._decoder.advance_decoding(decodable)
            self._decoded = len(self._chosen)

    def _best(self, ended: bool) -> list[WordSpan]:
        if not self._decoded:
            return []
        found, path = self._decoder.get_best_path(use_final_probs=ended)
        if not found:  # no way to the end of a sentence: the best one so far
            found, path = self._decoder.get_best_path(use_final_probs=False)
        return self._spans(path) if found else []

    def _spans(self, path: kaldifst.Lattice) -> list[WordSpan]:
        _, rows, words, _ = kaldifst.get_linear_symbol_sequence(path)
        runs = self._runs([label - 1 for label in rows])
        spans, at = [], 0
        for word in (self._graph.words[label] for label in words):
            length = self._graph.spelled(word, [token for token, _, _ in runs[at:]])
            first = runs[at][1] if at < len(runs) else self._places[-1]
            last = runs[at + length - 1][2] if length else first
            spans.append(WordSpan(_marked(word), first, last))
            at += length
        return spans

    def _runs(self, path: list[int]) -> list[tuple[int, int, int]]:
        """Every token of a path with its first and last frame."""
        runs: list[tuple[int, int, int]] = []
        previous = self._rules.blank
        for token, frame in zip(path, self._places, strict=False):
            if token == previous != self._rules.blank:
                runs[-1] = (token, runs[-1][1], frame)
            elif token != self._rules.blank:
                runs.append((token, frame, frame))
            previous = token
        return runs


def _marked(word: str) -> str:
    return SPACE + word if word[0].isascii() else word


def _spellings(lexicon: Lexicon, tokens: tuple[str, ...]) -> dict[str, list[tuple[int, ...]]]:
    number = {token: index for index, token in enumerate(tokens)}
    found: dict[str, list[tuple[int, ...]]] = {}
    for word, spelling in lexicon.entries:
        found.setdefault(word, []).append(tuple(number[token] for token in spelling))
    return found


def _symbols(file: Path) -> list[str]:
    return [line.rsplit(" ", 1)[0] for line in file.read_text("utf-8").splitlines()]
