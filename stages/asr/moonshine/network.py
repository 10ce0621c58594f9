"""The network: samples in, text out, greedily, with the keys and values of the past kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.asr.moonshine.draft import after, agreed
from stages.events import SAMPLE_RATE, Samples
from stages.onnx import Array, Network

MODEL = "moonshine-tiny-en"

BEGIN, END = 1, 2
"""Tokens before the first and after the last."""

TOKENS_PER_SECOND, TOKENS_AT_LEAST = 6.5, 6
"""People say up to six tokens a second; a network that says more has lost its thread."""

LOOP, PHRASE_LOOP, PHRASE = 4, 3, 5
"""So many times the same two tokens or more in a row is no speech but a loop; fewer times are
enough for a phrase of at least so many tokens."""

SHORTEST = SAMPLE_RATE // 4
"""Shorter pieces are padded with silence up to here."""

COMMA, STOPS = b",", (b".", b"?", b"!")
BYTES = 259
"""The first pieces are control tokens and single bytes, for what no later piece spells."""

_CONTROL = (b"<<", b"<s>", b"</s>", b"<unk>")


class Heard(NamedTuple):
    """What was said in a piece of speech.

    Attributes:
        text: the words.
        tokens: what they are made of.
        goes_on: how sure the network is of the comma at the end, 0 to 1, against the marks that
            end a sentence; None if there is no comma.
    """

    text: str
    tokens: list[int]
    goes_on: float | None = None


class Moonshine:
    """The weights; any number of threads may transcribe at once."""

    def __init__(self, folder: Path) -> None:
        self._encoder = Network(folder / "encoder_model.ort")
        self._decoder = Network(folder / "decoder_model_merged.ort")
        self._pieces = pieces_of((folder / "tokenizer.bin").read_bytes())
        self._past = [name for name in self._decoder.inputs if name.startswith("past_key_values.")]
        self._marks = [self._pieces.index(mark, BYTES) for mark in (COMMA, *STOPS)]

    def transcribe(
        self,
        samples: Samples,
        wanted: Callable[[], bool] = lambda: True,
        draft: Sequence[int] = (),
    ) -> Heard:
        """Return the words in a piece of speech; a moment's work, so call it in a thread.

        Args:
            samples: at ``SAMPLE_RATE``, 15 s at most: longer pieces make it invent things.
            wanted: asked before every word piece; once it is False, what there is is returned.
            draft: the tokens of most of the same piece: those that are still right are not
                worked out one by one. Other words than without it may come of it where two are
                equally likely, as the network rounds several tokens together.
        """
        if len(samples) < SHORTEST:
            samples = np.pad(samples, (0, SHORTEST - len(samples)))
        limit = TOKENS_AT_LEAST + int(len(samples) / SAMPLE_RATE * TOKENS_PER_SECOND)
        tokens, last = self._decode(samples.astype(np.float32), limit, wanted, draft)
        comma = tokens[-1:] == self._marks[:1]
        return Heard(self._text(tokens), tokens, self._surely(last) if comma else None)

    def _decode(
        self, samples: Samples, limit: int, wanted: Callable[[], bool], draft: Sequence[int]
    ) -> tuple[list[int], Array]:
        """Return the tokens, and what spoke for each token in place of the last one."""
        mask = np.ones((1, len(samples)), dtype=np.int64)  # of samples: the decoder strides itself
        (heard,) = self._encoder.run({"input_values": samples[None, :], "attention_mask": mask})
        feed: dict[str, Array] = {
            "encoder_hidden_states": heard,
            "encoder_attention_mask": mask,
            "use_cache_branch": np.array([False]),
            **{name: np.zeros((1, 8, 0, 36), dtype=np.float32) for name in self._past},
        }
        tokens, likely, last = [BEGIN], list(draft), np.zeros(0, dtype=np.float32)
        while len(tokens) <= limit and wanted():
            likely = likely[: limit - len(tokens)]
            feed["input_ids"] = np.array([tokens[-1:] + likely], dtype=np.int64)
            logits, *kept = self._decoder.run(feed)
            said = logits[0].argmax(axis=-1)
            right = agreed(likely, said)
            tokens += likely[:right]
            self._keep(feed, kept, len(tokens))
            token = int(said[right])
            if token == END:
                last = logits[0][right - 1] if right else last
                break
            tokens.append(token)
            last = logits[0][right]
            if (length := loop(tokens)) is not None:
                return tokens[1 : len(tokens) - (_times(length) - 1) * length], last
            likely = after(token, likely[right:])
        return tokens[1:], last

    def _surely(self, logits: Array) -> float:
        """Return how likely the first of the marks is among them."""
        odds = np.exp(logits[self._marks] - logits[self._marks].max())
        return round(float(odds[0] / odds.sum()), 3)

    def _keep(self, feed: dict[str, Array], kept: list[Array], count: int) -> None:
        """Keep what the decoder worked out of its first tokens, and of the speech."""
        first = not feed["use_cache_branch"].item()
        for name, values in zip(self._past, kept, strict=True):
            if ".decoder." in name:
                feed[name] = values[:, :, :count]
            elif first:  # what was heard is only worked out once; later answers leave it empty
                feed[name] = values
        feed["use_cache_branch"] = np.array([True])

    def _text(self, tokens: list[int]) -> str:
        said = (self._pieces[token] for token in tokens)
        raw = b"".join(piece for piece in said if not piece.startswith(_CONTROL))
        return " ".join(raw.decode(errors="replace").replace("\u2581", " ").split())


def loop(tokens: list[int]) -> int | None:
    """Return how many tokens are repeated at the end, too many times over; None if none are."""
    for length in range(2, 17):
        times = _times(length)
        tail = tokens[-length * times :]
        if len(tail) == length * times and tail == tail[:length] * times:
            return length
    return None


def _times(length: int) -> int:
    return PHRASE_LOOP if length >= PHRASE else LOOP


def pieces_of(raw: bytes) -> list[bytes]:
    """Return the word pieces of a tokenizer file, in the order of their numbers.

    Each is preceded by its length in one byte, or in two, low seven bits first, if the high bit
    of the first is set.
    """
    pieces, at = [], 0
    while at < len(raw):
        length, at = raw[at], at + 1
        if length >= 0x80:
            length, at = length - 0x80 + raw[at] * 0x80, at + 1
        pieces.append(raw[at : at + length])
        at += length
    return pieces
