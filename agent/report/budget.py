"""What may not take longer: a YAML file that makes a command fail in CI.

    heard: {p50: 450, p95: 800}        # ms, in the caller's ear
    stages:
      endpoint: {p95: 500}
      tts: {p50: 100}
    barge_in: {p95: 200}
    event_loop: {p99: 50}              # each turn's worst wake-up of the loop
    early_endpoints: 0.05              # share of turns that ended too early
    failed: 0                          # turns

What the budget names and nobody measured is over it: a CI that measures nothing must not pass.
For the same reason a file that sets no limit is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.errors import NotPossible
from agent.report.figures import ORDER, Figures, Spread

Ms = Annotated[float, Field(gt=0)]


class Limits(BaseModel):
    """Milliseconds at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: Ms | None = None
    p50: Ms | None = None
    p90: Ms | None = None
    p95: Ms | None = None
    p99: Ms | None = None


class Budget(BaseModel):
    """What a report is held against."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    heard: Limits | None = None
    stages: dict[str, Limits] = Field(default_factory=dict)
    barge_in: Limits | None = None
    event_loop: Limits | None = None
    early_endpoints: float | None = Field(default=None, ge=0, le=1)
    failed: int | None = Field(default=None, ge=0)

    @classmethod
    def load(cls, path: Path) -> Budget:
        """Read a budget.

        Raises:
            NotPossible: it cannot be read, names something that has no figure, or sets no limit.
        """
        try:
            budget = cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            raise NotPossible(f"The budget {path} cannot be read: {_unreadable(error)}.") from error
        except ValidationError as error:
            raise NotPossible(f"The budget {path}: {_wrong(error)}.") from error
        for name in budget.stages:
            if name not in ORDER:
                raise NotPossible(
                    f"The budget {path} names the stage {name!r}; there are: {', '.join(ORDER)}."
                )
        if not budget._limited:
            raise NotPossible(
                f"The budget {path} sets no limit; it wants lines such as heard: {{p50: 450}}."
            )
        return budget

    @property
    def _limited(self) -> bool:
        """Whether anything at all can be over it."""
        told = (self.heard, *self.stages.values(), self.barge_in, self.event_loop)
        times = any(limits is not None and limits != Limits() for limits in told)
        return times or self.early_endpoints is not None or self.failed is not None

    def broken(self, figures: Figures) -> list[str]:
        """Return a sentence for everything that is over the budget, or was not measured."""
        heard = figures.total if figures.measure == "heard" else None
        told = list(_over("heard", self.heard, heard))
        stages = {stage.name: stage.spread for stage in figures.stages}
        for name, limits in self.stages.items():
            told += _over(name, limits, stages.get(name))
        told += _over("barge_in", self.barge_in, figures.barge_in)
        told += _over("event_loop", self.event_loop, figures.event_loop.worst)
        return told + list(self._counts(figures))

    def _counts(self, figures: Figures) -> Iterator[str]:
        ends = figures.endpoints
        if self.early_endpoints is not None:
            if not ends.judged:
                yield "early_endpoints was not measured: nobody spoke."
            elif ends.early / ends.judged > self.early_endpoints:
                share, most = ends.early / ends.judged, self.early_endpoints
                yield f"early_endpoints is {share:.1%}, over the budget of {most:.1%}."
        if self.failed is not None:
            if not figures.turns:
                yield "failed was not measured: there are no turns."
            elif figures.failed > self.failed:
                turns = "1 turn" if figures.failed == 1 else f"{figures.failed} turns"
                yield f"{turns} failed, over the budget of {self.failed}."


def _unreadable(error: Exception) -> str:
    """Return why a file cannot be read, in the middle of a sentence."""
    match error:
        case UnicodeDecodeError():
            return "it is not UTF-8 text"
        case RecursionError():
            return "it is nested too deeply"
        case yaml.MarkedYAMLError(problem_mark=yaml.Mark() as mark):
            return f"line {mark.line + 1}: {error.problem}"
        case yaml.reader.ReaderError():
            return "a control character stands in it"
        case _:
            return str(getattr(error, "strerror", None) or error)


def _wrong(error: ValidationError) -> str:
    """Say the first thing that is wrong, by its place in the file."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            names = Budget.model_fields if len(first["loc"]) == 1 else Limits.model_fields
            return f"there is no {place}; there are: {', '.join(names)}"
        case "model_type" | "dict_type" if place:
            return f"{place} wants limits such as {{p50: 450}}"
        case "model_type":
            return "it wants lines such as heard: {p50: 450}"
        case _:
            return f"{place}: {first['msg']}"


def _over(name: str, limits: Limits | None, taken: Spread | None) -> Iterator[str]:
    if limits is None:
        return
    for which in Limits.model_fields:
        limit = getattr(limits, which)
        if limit is None:
            continue
        if taken is None:
            yield f"{name} {which} was not measured, and its budget is {limit:g} ms."
        elif getattr(taken, which) > limit:
            yield f"{name} {which} is {getattr(taken, which):g} ms, over the budget of {limit:g}."
