"""What each clue at a pause is worth: ends of turns against pauses inside them, fitted.

A logistic fit over all pauses of all cases, and how well it ranks pauses of recordings that it
was not fitted to: each is judged by a fit to the cases without its recordings. The weights of
``agent.endpoint`` are these, rounded, on a scale where 1 is all the doubt there can be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from agent.bench.pauses import Case
from agent.bench.taking import Opinions, Taking
from agent.decisions import AskFinal
from agent.endpoint import PAUSE_MS, Clues, Evidence, clues, doubt
from agent.turn import Turns
from agent.turn_settings import TurnSettings
from stages.audio import milliseconds_in

NEVER_MS = 1e9
RIDGE = 1.0
"""Holds weights back that few pauses speak for; clues are 0 or 1, or a probability."""

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heard:
    """A pause: what was known at it, and what it was."""

    recordings: frozenset[str]
    evidence: Evidence
    end: bool


@dataclass(frozen=True, slots=True)
class Worth:
    """What a fit says.

    Attributes:
        pauses: ends of turns, and pauses inside them, that it was made of.
        weights: of each clue, in log-odds that more comes.
        left_out: how often the end has less doubt than the pause, of all pairs of one and the
            other, when recordings are judged by a fit to the others.
        ours: the same of the weights that turns are taken with.
    """

    pauses: tuple[int, int]
    weights: dict[str, float]
    left_out: float
    ours: float


@dataclass(eq=False)
class _Listening(Taking):
    """Ends no turn, and notes what is known at every pause."""

    pauses: list[Heard] = field(default_factory=list)
    _asked: AskFinal | None = None

    def patience(self, settings: TurnSettings, evidence: Evidence) -> float:
        """Note what is known in this frame of the pause; wait on."""
        asked = self._asked
        if asked is not None and evidence.text and evidence.complete is not None:
            over = asked.at >= self.case.end
            silence = milliseconds_in(self.now - asked.at + asked.silence)
            if over or silence >= PAUSE_MS:
                self.pauses.append(Heard(_recordings(self.case), evidence, over))
                self._asked = None
        return NEVER_MS

    async def ask(self, action: AskFinal) -> None:
        """Ask once a pause, and once after the end."""
        self._asked = action if not any(one.end for one in self.pauses) else None
        await super().ask(action)


async def listen(cases: Sequence[Case], opinions: Opinions) -> list[Heard]:
    """Return all pauses of some cases."""
    found: list[Heard] = []
    for case in cases:
        listening = _Listening(case, opinions, Turns(TurnSettings.model_validate({})))
        listening.turns.patience = listening.patience
        await listening.run()
        found += listening.pauses
    return found


def fit(pauses: Sequence[Heard]) -> Worth:
    """Fit the clues to all pauses, and to all but those of each recording in turn."""
    known = np.array([[1.0, *clues(one.evidence)] for one in pauses])
    more = np.array([not one.end for one in pauses], dtype=np.float64)
    doubts = np.zeros(len(pauses))
    for recordings in {one.recordings for one in pauses}:
        others = np.array([not one.recordings & recordings for one in pauses])
        mine = np.array([one.recordings == recordings for one in pauses])
        doubts[mine] = known[mine] @ fitted(known[others], more[others])
    ours = np.array([doubt(one.evidence) for one in pauses])
    weights = np.round(fitted(known, more)[1:], 2)
    return Worth(
        (int((1 - more).sum()), int(more.sum())),
        dict(zip(Clues._fields, (float(weight) for weight in weights), strict=True)),
        ranked(doubts[more == 1], doubts[more == 0]),
        ranked(ours[more == 1], ours[more == 0]),
    )


def fitted(known: Matrix, more: Matrix) -> Matrix:
    """Return the weights of a logistic fit with a ridge, the first being the constant's."""
    weights = np.zeros(known.shape[1])
    ridge = RIDGE * np.eye(len(weights))
    ridge[0, 0] = 1e-6
    for _ in range(20):
        chance = 1 / (1 + np.exp(-known @ weights))
        slope = known.T @ (more - chance) - ridge @ weights
        bend = (known.T * (chance * (1 - chance))) @ known + ridge
        weights = weights + np.linalg.solve(bend, slope)
    return weights


def ranked(higher: Matrix, lower: Matrix) -> float:
    """Return how often one of the first is above one of the second; a tie is half."""
    if not len(higher) or not len(lower):
        return float("nan")
    apart = higher[:, None] - lower[None, :]
    return round(float((apart > 0).mean() + 0.5 * (apart == 0).mean()), 3)


def _recordings(case: Case) -> frozenset[str]:
    """Return the recordings that a case is made of, without the numbers of their pieces."""
    parts = re.split(r"\|\d+\|", case.name)
    return frozenset(re.split(r"[+-]\d", part)[0] for part in parts)
