"""What a training is: one YAML file, read once, every key known."""

from __future__ import annotations

from pathlib import Path
from string import Formatter
from typing import Annotated, Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from stages.asr.campp.geometry import Geometry
from stages.asr.campp.training.augment import Augment
from stages.asr.campp.training.manifest import BadInput, HoldBy
from stages.asr.campp.training.text import Units, tokens_of


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """Clips of one kind, and how often they are heard."""

    name: str
    manifest: str = Field(description="{data} and {work} stand for the folders of those names")
    sets: tuple[str, ...] = Field(default=(), description="of the manifest's lines; nothing is all")
    weight: float = Field(default=1.0, gt=0, le=20, description="times each clip is heard an epoch")
    copies: int = Field(default=1, ge=1, le=20, description="changed copies made of each clip")
    aligned: bool = Field(default=False, description="its clips' phones are found and learned")
    hold_by: HoldBy = "path"
    hold_share: float = Field(default=0.05, ge=0, lt=1, description="kept for evaluation")

    @field_validator("manifest")
    @classmethod
    def _of_known_folders(cls, manifest: str) -> str:
        for _, name, form, change in Formatter().parse(manifest):
            if name is not None and (name not in ("data", "work") or form or change):
                raise ValueError(f"{{{name}}} is no folder; {{data}} and {{work}} are")
        return manifest

    def file(self, data: Path, work: Path) -> Path:
        """Return the manifest, where the two folders are these."""
        return Path(self.manifest.format(data=data, work=work))


class Network(_Part):
    """The size of what is trained."""

    width: int = 144
    heads: int = 4
    hidden: int = 576
    channels: int = 32
    kernel: int = 15
    layers: tuple[int, ...] = (3, 3, 3)
    strides: tuple[int, ...] = (2, 1, 1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    chunk: int = 16
    left_chunks: int = 4
    units: Units = Field(default="letters", description="what it tells; phones need a lexicon")

    def geometry(self) -> Geometry:
        """Return the geometry that the exported model will have."""
        return Geometry(
            name="campp",
            language="en",
            width=self.width,
            heads=self.heads,
            kernel=self.kernel,
            layers=self.layers,
            strides=self.strides,
            chunk=self.chunk,
            left_chunks=self.left_chunks,
            vocabulary=len(tokens_of(self.units)),
        )


class Steps(_Part):
    """How long, how fast, in what order."""

    total: int = Field(gt=0, description="steps of the whole training")
    warm_up: int = Field(default=300, ge=1)
    cool_down: int = Field(default=500, ge=1, description="last steps: the rate falls to 0")
    peak: float = Field(default=1.2e-3, gt=0, description="learning rate between the two")
    seconds: float = Field(default=64.0, gt=0, description="of sound in a batch, padding included")
    short_first: int = Field(default=600, ge=0, description="first steps, with short clips only")
    short: float = Field(default=3.5, gt=0, description="seconds of a short clip")
    few: float = Field(default=1.0, gt=0, le=1, description="share of them heard first; it grows")
    longest: float = Field(default=17.0, gt=0, description="seconds; longer clips are left out")
    weight_decay: float = Field(default=1e-3, ge=0)
    clip: float = Field(default=2.0, gt=0, description="norm of the gradient, at most")
    chunks: tuple[int, ...] = Field(default=(8, 16, 32, 0), description="one a batch; 0 is all")
    middle: float = Field(default=0.3, ge=0, lt=1, description="share of the middle layers' loss")
    phones: float = Field(default=0.0, ge=0, description="weight of the phones' loss at first")
    phones_after: float = Field(default=0.0, ge=0, description="and after it has faded")
    phones_fade: int = Field(default=1000, ge=1, description="steps from the one to the other")
    late: float = Field(default=0.04, ge=0, le=0.4, description="seconds a phone may be told late")
    bands: int = Field(default=2, ge=0, description="SpecAugment: bands of mels put out")
    band: int = Field(default=15, ge=0, description="mels of the widest band")
    gaps: float = Field(default=0.6, ge=0, description="SpecAugment: gaps a second")
    gap: int = Field(default=12, ge=0, description="frames of the longest gap")


class Keep(_Part):
    """What is written while it trains."""

    minutes: float = Field(default=3.0, gt=0, description="between checkpoints")
    averaged: int = Field(default=5, ge=1, description="newest checkpoints averaged into the model")
    look: int = Field(default=250, ge=1, description="steps between looks at what was held back")
    look_clips: int = Field(default=120, ge=1, description="clips in a look")


class Config(_Part):
    """A training."""

    seed: int = 1
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    bfloat16: bool = Field(default=True, description="products in bfloat16")
    network: Network = Field(default_factory=Network)
    augment: Augment = Augment()
    sources: tuple[Source, ...] = Field(min_length=1)
    steps: Steps
    keep: Keep = Keep()

    @property
    def phones(self) -> bool:
        """Whether phones are learned."""
        return self.steps.phones > 0

    @field_validator("sources")
    @classmethod
    def _of_different_names(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        names = [source.name for source in sources]
        twins = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if twins:
            raise ValueError(f"several have the name {', '.join(map(repr, twins))}")
        return sources

    @model_validator(mode="after")
    def _phones_of_something(self) -> Config:
        if self.phones != any(source.aligned for source in self.sources):
            raise ValueError("steps.phones above 0 and 'aligned: true' for a source go together")
        return self


def read(file: Path) -> Config:
    """Read a configuration.

    Raises:
        BadInput: it cannot be read, or a key or a figure does not fit; every fault is listed.
    """
    try:
        found: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(str(file), [f"it cannot be read ({error})"]) from error
    try:
        config = Config.model_validate(found)
        config.network.geometry()
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in one['loc']) or 'network'}: {one['msg']}"
            for one in error.errors()
        ]
        raise BadInput(str(file), faults) from error
    return config
