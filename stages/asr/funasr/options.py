"""How a profile sets ``funasr``, and which models that needs in the store."""

from __future__ import annotations

from pydantic import Field, model_validator

from stages.asr.funasr.names import HubName, is_folder, stored
from stages.contracts import Options

MOST_CALLS = 64


class FunasrOptions(Options):
    """The settings of ``funasr``; models are names on the hub, or folders (``/``, ``~``, ``.``)."""

    streaming: str = Field(
        default="paraformer-zh-streaming", description="gives partials; empty: none"
    )
    offline: str = Field(
        default="paraformer-zh", description="gives finals, SenseVoice or Paraformer"
    )
    punctuation: str = Field(
        default="ct-punc", description="where finals have none; empty: as they are"
    )
    hub: HubName = Field(default="ms", description="ModelScope or Hugging Face")
    device: str = Field(default="cpu", description="or cuda:0")
    threads: int = Field(default=1, ge=1, le=64, description="of each model")
    chunk_ms: int = Field(
        default=600, ge=60, le=6000, multiple_of=60, description="between partials"
    )
    calls: int | None = Field(
        default=None,
        ge=1,
        le=MOST_CALLS,
        description="at once; by default what this machine keeps up with",
    )
    load_s: float = Field(default=180.0, gt=0, description="for the models to be loaded")
    step_s: float = Field(default=20.0, gt=0, description="for one piece of work")

    @model_validator(mode="after")
    def _some(self) -> FunasrOptions:
        if not self.streaming and not self.offline:
            raise ValueError("names no model: set streaming, or offline, or both")
        models_of(self)  # a name that can be none is said where it is written
        return self

    @property
    def _on_hub(self) -> list[str]:
        models = (self.streaming, self.offline, self.punctuation if self.offline else "")
        return [model for model in models if model and not is_folder(model)]


def models_of(options: FunasrOptions) -> tuple[str, ...]:
    """Return what the model store calls the models that lie on a hub.

    Raises:
        ValueError: a name that can be none.
    """
    return tuple(stored(options.hub, model) for model in options._on_hub)
