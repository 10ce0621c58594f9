"""The best token of every frame; repeats joined, blanks dropped. Nothing is ever taken back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from stages.asr.campp.decode.hypothesis import Hypothesis, LogProbs, Piece


@dataclass(slots=True)
class Greedy:
    """Greedy decoder of one utterance; a step takes microseconds, so it runs where it is called.

    Every piece is settled at once: a frame's best token does not depend on later frames, and a
    token that goes on into the next packet is the same token (only its last frame moves).
    """

    tokens: tuple[str, ...]
    blank: int = 0
    _pieces: list[Piece] = field(default_factory=list)
    _previous: int = -1
    _frames: int = 0
    _score: float = 0.0

    async def take(self, log_probs: LogProbs) -> Hypothesis:
        """Go on by these frames, shape (frames, vocabulary)."""
        best = log_probs.argmax(axis=1)
        self._score += float(log_probs.max(axis=1).sum())
        for token in best.tolist():
            self._add(token)
        return self._heard()

    async def look(self, log_probs: LogProbs) -> Hypothesis:
        """Tell what was said if it ended with these frames; they are not kept."""
        return await replace(self, _pieces=list(self._pieces)).take(log_probs)

    def close(self) -> None:
        """Nothing is held outside this object."""

    async def nbest(self) -> list[tuple[float, Hypothesis]]:
        """Return the one way that greedy decoding knows."""
        return [(self._score, self._heard())]

    def _add(self, token: int) -> None:
        frame = self._frames
        if token == self.blank:
            pass
        elif token == self._previous:
            self._pieces[-1] = replace(self._pieces[-1], last=frame)
        else:
            self._pieces.append(Piece(self.tokens[token], frame, frame))
        self._previous = token
        self._frames += 1

    def _heard(self) -> Hypothesis:
        last = self._pieces[-1].last if self._pieces else -1
        return Hypothesis(
            tuple(self._pieces), len(self._pieces), self._frames - 1 - last, self._frames
        )
