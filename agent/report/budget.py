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
            NotPossible: it cannot be read, or names something that has no figure.
        """
        try:
            budget = cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise NotPossible(f"The budget {path} cannot be read: {error}.") from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise NotPossible(f"The budget {path}: {place}: {first['msg']}.") from error
        for name in budget.stages:
            if name not in ORDER:
                raise NotPossible(
                    f"The budget {path} names the stage {name!r}; there are: {', '.join(ORDER)}."
                )
        return budget

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
        if self.failed is not None and figures.failed > self.failed:
            yield f"{figures.failed} turns failed, over the budget of {self.failed}."


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
