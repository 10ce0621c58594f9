"""What several modules of the plug-in call by name."""

from __future__ import annotations

from typing import Literal, TypeAlias

STAGE = "asr funasr"

PYTHON = "FIRSTWORD_FUNASR_PYTHON"
"""Environment variable: the interpreter that has FunASR, where it is not the agent's own."""

HubName: TypeAlias = Literal["ms", "hf"]

HUBS: dict[HubName, str] = {"ms": "modelscope", "hf": "huggingface"}
"""The hubs as FunASR calls them, and as the model store does."""

SHORT: dict[HubName, dict[str, str]] = {
    "ms": {
        "paraformer-zh": (
            "iic/speech_seaco_paraformer_large_asr_nat-zh-cn-16k-common-vocab8404-pytorch"
        ),
        "paraformer-zh-streaming": (
            "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online"
        ),
        "paraformer-en": "iic/speech_paraformer-large-vad-punc_asr_nat-en-16k-common-vocab10020",
        "SenseVoiceSmall": "iic/SenseVoiceSmall",
        "ct-punc": "iic/punc_ct-transformer_cn-en-common-vocab471067-large",
        "ct-punc-c": "iic/punc_ct-transformer_zh-cn-common-vocab272727-pytorch",
    },
    "hf": {
        "paraformer-zh": "funasr/paraformer-zh",
        "paraformer-zh-streaming": "funasr/paraformer-zh-streaming",
        "paraformer-en": "funasr/paraformer-en",
        "SenseVoiceSmall": "FunAudioLLM/SenseVoiceSmall",
        "ct-punc": "funasr/ct-punc",
    },
}
"""FunASR's short names, and the repositories they stand for on each hub."""


def is_folder(model: str) -> bool:
    """Return whether a model is named as a folder, which need not be there."""
    return model.startswith((".", "/", "~"))


def stored(hub: HubName, model: str) -> str:
    """Return what the model store calls a model; a folder has no such name.

    Raises:
        ValueError: it is neither a short name nor ``owner/name``.
    """
    repository = SHORT[hub].get(model, model)
    if repository.count("/") != 1:
        raise ValueError(
            f"there is no model {model!r}: name a folder (/…, ~/… or ./…), a repository of the"
            f" hub (owner/name), or one of {', '.join(sorted(SHORT[hub]))}"
        )
    return f"{HUBS[hub]}:{repository}"
