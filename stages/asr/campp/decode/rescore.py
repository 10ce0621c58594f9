"""The second look: at an endpoint the likeliest ways to read an utterance are weighed anew."""

from __future__ import annotations

from collections.abc import Sequence

from stages.asr.campp.decode.hypothesis import Hypothesis
from stages.asr.campp.decode.language import LanguageModel

Ranked = list[tuple[float, Hypothesis]]
"""Ways to read what was said, best first, with natural log scores."""


def rescored(
    nbest: Sequence[tuple[float, Hypothesis]],
    model: LanguageModel,
    weight: float,
    length_bonus: float,
) -> Ranked:
    """Weigh readings with a language model and sort them anew.

    Args:
        nbest: readings with the scores of the sound alone.
        model: over the same tokens as the pieces.
        weight: of the language model.
        length_bonus: natural log a token, so that the model does not favour silence.
    """
    weighed = [
        (score + weight * fluency(model, reading) + length_bonus * len(reading.pieces), reading)
        for score, reading in nbest
    ]
    return sorted(weighed, key=lambda one: -one[0])


def fluency(model: LanguageModel, reading: Hypothesis) -> float:
    """Return the natural log probability of a reading's tokens."""
    context, total = model.start, 0.0
    for piece in reading.pieces:
        score, context = model.score(context, piece.text)
        total += score
    return total + model.finish(context)
