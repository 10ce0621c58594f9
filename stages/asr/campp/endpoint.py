"""Endpoints by what the recogniser hears: Kaldi's three rules over trailing blanks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from stages.events import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Rule:
    """Fires when all of it is true; times in samples at ``SAMPLE_RATE``."""

    spoken: bool  # something must have been recognised
    trailing: int  # blank at the end, at least
    length: int = 0  # of the utterance, at least

    def fires(self, spoken: bool, trailing: int, length: int) -> bool:
        """Tell whether the rule is met."""
        return (spoken or not self.spoken) and trailing >= self.trailing and length >= self.length


def rules(
    silence_s: float = 2.4, pause_s: float = 1.2, longest_s: float = 20.0
) -> tuple[Rule, ...]:
    """Return Kaldi's three rules.

    Args:
        silence_s: of blank that end an utterance in which nothing was said.
        pause_s: of blank that end one in which something was.
        longest_s: of an utterance, whatever is said in it.
    """
    return (
        Rule(spoken=False, trailing=round(silence_s * SAMPLE_RATE)),
        Rule(spoken=True, trailing=round(pause_s * SAMPLE_RATE)),
        Rule(spoken=False, trailing=0, length=round(longest_s * SAMPLE_RATE)),
    )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Judges an utterance by its trailing blanks."""

    rules: tuple[Rule, ...]

    def reached(self, spoken: bool, trailing: int, length: int) -> int | None:
        """Return the number of the first rule that is met, from 1 on, or None.

        Args:
            spoken: whether anything was recognised.
            trailing: samples of blank at the end.
            length: samples of the utterance.
        """
        for number, rule in enumerate(self.rules, start=1):
            if rule.fires(spoken, trailing, length):
                return number
        return None
