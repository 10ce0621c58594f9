"""What a model's file says about itself: every figure that the running stage needs.

The exporter writes it into the file's metadata, the stage reads it back; the stage itself has
no constant of its own, so models of any chunk, stride, width or front end run side by side.
"""

from __future__ import annotations

from math import prod
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stages.errors import UserError

METADATA_KEY = "firstword_campp"
"""Key of the ONNX metadata that holds the geometry as JSON."""

TOKENS_KEY = "firstword_tokens"
"""Key of the ONNX metadata that holds the tokens, one a line; a token's line is its number."""

Positions: TypeAlias = Literal["relative", "absolute"]


class NotAModel(UserError):
    """A file that is no model of this stage, or one whose metadata does not fit it."""

    def __init__(self, file: str, reason: str) -> None:
        self.file, self.reason = file, reason
        super().__init__(f"{file} cannot be used as a campp model: {reason}.")


class Front(BaseModel):
    """How sound becomes Fbank frames; lengths in samples, frequencies in Hz."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sample_rate: Literal[16000] = 16000
    mels: int = Field(default=80, ge=8, le=256)
    frame: int = Field(default=400, ge=80, description="samples under one window")
    hop: int = Field(default=160, ge=40, description="samples from one window to the next")
    window: Literal["hamming", "povey", "hanning", "rectangular", "blackman"] = "hamming"
    low_hz: float = Field(default=20.0, ge=0)
    high_hz: float = Field(default=0.0, description="0 is half the rate, below 0 from there")
    scale: float = Field(default=32768.0, gt=0, description="samples are multiplied by it first")
    lead: Literal["zeros", "mirror"] = "zeros"  # what stands before the start
    lead_samples: int = Field(default=240, ge=0)
    kept_frames: int = Field(default=1, ge=0, description="silent frames before the first")


class Geometry(BaseModel):
    """The shapes of a streaming model.

    A *step* takes ``window`` Fbank frames, moves on by ``shift`` of them, and gives
    ``out_frames`` rows of log-probabilities. ``chunk`` counts encoder frames of the first
    segment; a later segment has ``chunk`` divided by the strides up to it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    name: str = ""
    language: str = ""
    front: Front = Front()
    subsampling: Literal[2, 4] = 2
    chunk: int = Field(default=16, ge=1, le=512)
    left_chunks: int = Field(default=4, ge=1, le=64)
    strides: tuple[int, ...] = (1, 2, 2)
    layers: tuple[int, ...] = (4, 4, 4)
    width: int = Field(ge=8)
    heads: int = Field(ge=1)
    kernel: int = Field(default=15, ge=2)
    positions: Positions = "relative"
    max_positions: int = Field(default=5000, ge=1, description="absolute ones")
    vocabulary: int = Field(ge=2)
    blank: int = Field(default=0, ge=0)
    weights: Literal["float32", "int8"] = "float32"
    resident: bool = Field(default=False, description="caches of all slots go through the graph")

    @model_validator(mode="after")
    def _fits_together(self) -> Geometry:
        if len(self.strides) != len(self.layers) or not self.layers:
            raise ValueError("strides and layers must name the same segments")
        if min(self.strides) < 1 or min(self.layers) < 1:
            raise ValueError("strides and layers must be at least 1")
        if self.chunk % prod(self.strides):
            raise ValueError(f"a chunk of {self.chunk} frames cannot be divided by the strides")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be divided among {self.heads} heads")
        if self.blank >= self.vocabulary:
            raise ValueError(f"blank {self.blank} is none of {self.vocabulary} tokens")
        return self

    @property
    def right_context(self) -> int:
        """Fbank frames that the first convolutions see beyond the last one's own."""
        return 2 if self.subsampling == 2 else 6

    @property
    def window(self) -> int:
        """Fbank frames that a step takes."""
        return (self.chunk - 1) * self.subsampling + self.right_context + 1

    @property
    def shift(self) -> int:
        """Fbank frames that a step moves on."""
        return self.chunk * self.subsampling

    @property
    def packet(self) -> int:
        """Samples that a step moves on: 5120 are 320 ms."""
        return self.shift * self.front.hop

    @property
    def out_frames(self) -> int:
        """Rows of log-probabilities that a step gives."""
        return self.chunk // prod(self.strides)

    @property
    def out_hop(self) -> int:
        """Samples that one row of log-probabilities stands for."""
        return self.packet // self.out_frames

    @property
    def head_width(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    def segment_chunk(self, segment: int) -> int:
        """Return the frames of one chunk in a segment."""
        return self.chunk // prod(self.strides[: segment + 1])

    @property
    def state_bytes(self) -> int:
        """Bytes of attention and convolution caches that one call keeps (float32)."""
        keys = sum(
            count * self.segment_chunk(segment) * self.left_chunks * self.width
            for segment, count in enumerate(self.layers)
        )
        convolution = sum(self.layers) * (self.kernel - 1) * self.width
        return 4 * (2 * keys + convolution)


def read(file: str, metadata: dict[str, str]) -> tuple[Geometry, tuple[str, ...]]:
    """Return the geometry and the tokens that a file's metadata holds.

    Raises:
        NotAModel: a key is missing, a figure does not fit, or the tokens are too few or many.
    """
    for key in (METADATA_KEY, TOKENS_KEY):
        if key not in metadata:
            raise NotAModel(file, f"its metadata has no {key!r}: it was not exported by firstword")
    try:
        geometry = Geometry.model_validate_json(metadata[METADATA_KEY])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or METADATA_KEY
        raise NotAModel(file, f"its metadata does not fit: {place}: {first['msg']}") from error
    tokens = tuple(metadata[TOKENS_KEY].split("\n"))
    if len(tokens) != geometry.vocabulary:
        raise NotAModel(
            file, f"it has {len(tokens)} tokens, but its output is {geometry.vocabulary} wide"
        )
    return geometry, tokens


def write(geometry: Geometry, tokens: tuple[str, ...]) -> dict[str, str]:
    """Return the metadata from which ``read`` gets the same back.

    Raises:
        ValueError: the tokens are not as many as the geometry says, or one holds a newline.
    """
    if len(tokens) != geometry.vocabulary or any("\n" in token for token in tokens):
        raise ValueError(f"{geometry.vocabulary} tokens without newlines are needed")
    return {METADATA_KEY: geometry.model_dump_json(), TOKENS_KEY: "\n".join(tokens)}
