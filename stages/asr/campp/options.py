"""The settings of ``campp``."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from stages.contracts import Options


class CamppOptions(Options):
    """The settings of ``campp``."""

    model: str = Field(
        description="en-small, a model of the store, or an .onnx file by `firstword asr`"
    )
    decode: Literal["greedy", "beam", "wfst"] = Field(
        default="greedy",
        description="a call with hotwords uses beam where this says greedy, and a network that"
        " tells phones (en-small) always searches for words",
    )
    slots: int = Field(
        default=16, ge=1, le=1024, description="calls at once; a further one is refused"
    )
    max_batch: int = Field(
        default=16, ge=1, le=256, description="packets stepped together, at most"
    )
    max_wait_ms: int = Field(
        default=80, ge=0, le=320, description="a packet waits for others, at most"
    )
    threads: int = Field(default=1, ge=1, le=64, description="within a step, on the CPU")
    device: Literal["cpu", "cuda", "tensorrt"] = "cpu"
    memory_mb: int = Field(default=0, ge=0, description="of a CUDA arena, at most; 0 is no limit")
    tensorrt_cache: Path | None = Field(
        default=None, description="folder for the engines it builds"
    )
    beam: int = Field(default=8, ge=1, le=64, description="prefixes kept by beam")
    candidates: int = Field(default=8, ge=1, le=64, description="tokens that beam tries a frame")
    hotword_bonus: float = Field(default=1.5, ge=0, le=20, description="a character, natural log")
    language_model: Path | None = Field(
        default=None,
        description="for beam: en-small (words, it comes with FirstWord), a .lm file by"
        " `firstword asr words`, or ARPA n-grams over tokens; a network of phones has its own",
    )
    language_model_weight: float | None = Field(
        default=None, ge=0, le=5, description="0.3 beside letters, 0.6 beside phones, if not said"
    )
    word_beam: int = Field(default=96, ge=1, le=512, description="kept while words are searched")
    word_bonus: float = Field(default=-0.75, ge=-5, le=10, description="a word, natural log")
    length_bonus: float = Field(
        default=0.5, ge=-5, le=5, description="a token, beside a language model"
    )
    rescoring: Path | None = Field(
        default=None,
        description="chooses among the readings of a final. Beside phones: words, en-small or a"
        " .lm file, in the place of the language model; beside letters: words, or ARPA n-grams"
        " over tokens",
    )
    rescoring_weight: float | None = Field(
        default=None,
        ge=0,
        le=5,
        description="0.4 beside letters, 0.6 beside phones, if not said; needs rescoring",
    )
    graph: Path | None = Field(
        default=None, description="folder by `firstword asr graph`, for wfst"
    )
    graph_beam: float = Field(default=12.0, gt=0, le=40)
    graph_active: int = Field(
        default=3000, ge=100, le=20000, description="states kept a frame, at most"
    )
    acoustic_scale: float = Field(default=1.0, gt=0, le=10, description="against the graph, wfst")
    blank_skip: float = Field(
        default=0.98, gt=0, le=1, description="likelier blanks are skipped by wfst; 1 is never"
    )
    endpoint_silence_s: float = Field(
        default=2.4, gt=0, description="of blank that end an utterance without words"
    )
    endpoint_pause_s: float = Field(default=1.2, gt=0, description="of blank that end one with")
    endpoint_longest_s: float = Field(default=20.0, gt=0, description="of any utterance")
    processes: int = Field(default=1, ge=1, le=32, description="that decode with wfst")

    @model_validator(mode="after")
    def _rescoring_with_something(self) -> CamppOptions:
        if self.rescoring_weight is not None and self.rescoring is None:
            raise ValueError(
                "rescoring_weight does nothing without rescoring, the file of its language model"
            )
        if self.rescoring is not None and self.decode == "wfst":
            raise ValueError(
                "rescoring does nothing with decode: wfst, which knows one reading only"
            )
        return self

    @property
    def file(self) -> Path | None:
        """The model file, if ``model`` is one, or the name of one that comes with FirstWord."""
        if is_file_name(self.model):
            return Path(self.model).expanduser()
        return shipped(f"{self.model}.onnx")

    @property
    def language_file(self) -> Path | None:
        """The file of the language model: the one that is named, or the one beside the model."""
        if self.language_model is not None:
            return shipped(f"{self.language_model}.lm") or self.language_model
        beside = self.file.with_suffix(".lm") if self.file else None
        return beside if beside and beside.is_file() else None

    @property
    def rescoring_file(self) -> Path | None:
        """The file of the model that rescores, if there is to be one."""
        if self.rescoring is None:
            return None
        return shipped(f"{self.rescoring}.lm") or self.rescoring


def shipped(name: str) -> Path | None:
    """Return a file that comes with FirstWord, if there is one of that name."""
    file = Path(str(resources.files(__package__).joinpath("data", name)))
    return file if file.is_file() else None


def is_file_name(model: str) -> bool:
    """Tell a file from a name of the model store."""
    return model.endswith(".onnx") or "/" in model
