"""Models that lie on hubs only: FunASR's recognisers, and CAM++.

The hashes are those by which several public projects pin these files (for the Chinese CAM++ and
SenseVoice a page of Hugging Face shows the same; the one of VoxCeleb was seen in one project only);
the files themselves have not been had here. Where none is given, the hub's word at the first pull
is recorded. These files are PyTorch's: they are read with ``weights_only``, by the process that
has FunASR, and never by the agent.
"""

from __future__ import annotations

from stages.models.shapes import File, Hub, HubKind, Model

SMALL = ("*.yaml", "*.json", "*.mvn", "*.model", "seg_dict", "jieba_usr_dict", "tokens.txt")
"""What FunASR reads of a model beside its weights; never code."""
WEIGHTS = ("*.pt", "*.bin", "*.onnx", "*.safetensors")
_FUNASR_LICENCE = "LicenseRef-FunASR-1.1"


def by_repository(name: str, kind: HubKind, repository: str, revision: str) -> Model:
    """Return a model of which nothing is known but where it lies."""
    source = Hub(kind, repository, revision, (*SMALL, *WEIGHTS))
    return Model(name, "from a hub, by the name of its repository", "see its page", source, ())


def _weights(name: str, size: int, sha256: str) -> tuple[File, ...]:
    return (File(name, name, size, sha256),)


ON_HUBS = (
    Model(
        "paraformer-zh-streaming",
        "Chinese speech to text while one speaks, for asr funasr",
        "Apache-2.0",
        Hub(
            "modelscope",
            "iic/speech_paraformer-large_asr_nat-zh-cn-16k-common-vocab8404-online",
            "master",
            (*SMALL, "model.pt"),
        ),
        (),
    ),
    Model(
        "paraformer-zh",
        "Chinese speech to text with hotwords, for asr funasr",
        "Apache-2.0",
        Hub(
            "modelscope",
            "iic/speech_seaco_paraformer_large_asr_nat-zh-cn-16k-common-vocab8404-pytorch",
            "master",
            SMALL,
        ),
        _weights(
            "model.pt",
            989763045,
            "3d491689244ec5dfbf9170ef3827c358aa10f1f20e42a7c59e15e688647946d1",
        ),
    ),
    Model(
        "sensevoice-small",
        "speech to text in five languages (zh, yue, en, ja, ko), for asr funasr",
        _FUNASR_LICENCE,
        Hub("modelscope", "iic/SenseVoiceSmall", "master", SMALL),
        _weights(
            "model.pt",
            936291369,
            "833ca2dcfdf8ec91bd4f31cfac36d6124e0c459074d5e909aec9cabe6204a3ea",
        ),
    ),
    Model(
        "ct-punc",
        "puts punctuation into Chinese and English text, for asr funasr",
        "Apache-2.0",
        Hub(
            "modelscope", "iic/punc_ct-transformer_cn-en-common-vocab471067-large", "master", SMALL
        ),
        _weights(
            "model.pt",
            1125507622,
            "7176cae922a872e130e6b88aef9a1153581711baf79c9124c7c95be383cd6f81",
        ),
    ),
    Model(
        "campplus-zh-cn",
        "CAM++ of 200,000 Chinese speakers, for speaker campplus (to be converted)",
        "Apache-2.0",
        Hub("modelscope", "iic/speech_campplus_sv_zh-cn_16k-common", "v2.0.2"),
        _weights(
            "campplus_cn_common.bin",
            28036335,
            "3388cf5fd3493c9ac9c69851d8e7a8badcfb4f3dc631020c4961371646d5ada8",
        ),
    ),
    Model(
        "campplus-zh-en",
        "CAM++ of Chinese and English speakers, for speaker campplus (to be converted)",
        "Apache-2.0",
        Hub(
            "modelscope",
            "iic/speech_campplus_sv_zh_en_16k-common_advanced",
            "v1.0.0",
            ("campplus_cn_en_common.pt",),
        ),
        (),
    ),
    Model(
        "campplus-en-voxceleb",
        "CAM++ of 3D-Speaker, trained on VoxCeleb, for speaker campplus (to be converted)",
        "Apache-2.0",
        Hub("modelscope", "iic/speech_campplus_sv_en_voxceleb_16k", "v1.0.2"),
        _weights(
            "campplus_voxceleb.bin",
            29357703,
            "5b1a88b6f8d85826fabef804779c3372b42f3af21457fa48bd5c097c0686b2de",
        ),
    ),
)
