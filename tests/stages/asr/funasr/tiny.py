"""Builds tiny FunASR models with random weights; run by the interpreter that has FunASR.

``python tiny.py FOLDER`` makes ``streaming``, ``offline``, ``punctuation``, ``sense`` and
``speaker`` in it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import yaml
from funasr import AutoModel

WIDTH, BINS = 32, 560
TOKENS = "你好世界今天气怎么样我是谁请问帮忙谢再见可以"
OTHER_TOKENS = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"
"""What the offline model writes: no character of the streaming one's, so that one can tell."""
ENCODER = {
    "output_size": WIDTH,
    "attention_heads": 2,
    "linear_units": 64,
    "num_blocks": 2,
    "normalize_before": True,
    "kernel_size": 11,
    "selfattention_layer_type": "sanm",
    "pos_enc_class": "SinusoidalPositionEncoder",
}
DECODER = {
    "attention_heads": 2,
    "linear_units": 64,
    "num_blocks": 2,
    "att_layer_num": 2,
    "kernel_size": 11,
}
EARS = {
    "fs": 16000,
    "window": "hamming",
    "n_mels": 80,
    "frame_length": 25,
    "frame_shift": 10,
    "lfr_m": 7,
    "lfr_n": 6,
    "dither": 0.0,  # the same sound is to give the same words
}


def paraformer(name: str, encoder: dict[str, Any], shift: dict[str, int], ears: str) -> Any:
    return {
        "model": name,
        "model_conf": {"ctc_weight": 0.0, "predictor_bias": 1},
        "encoder": "SANMEncoderChunkOpt" if name.endswith("Streaming") else "SANMEncoder",
        "encoder_conf": ENCODER | encoder,
        "decoder": "ParaformerSANMDecoder",
        "decoder_conf": DECODER | shift,
        "predictor": "CifPredictorV2",
        "predictor_conf": {
            "idim": WIDTH,
            "threshold": 1.0,
            "l_order": 1,
            "r_order": 1,
            "tail_threshold": 0.45,
        },
        "frontend": ears,
        "frontend_conf": dict(EARS),
        "tokenizer": "CharTokenizer",
        "tokenizer_conf": {"unk_symbol": "<unk>", "split_with_space": True},
        "input_size": BINS,
    }


STREAMING = paraformer(
    "ParaformerStreaming",
    {
        "input_layer": "pe_online",
        "sanm_shfit": 0,
        "chunk_size": [12, 15],
        "stride": [8, 10],
        "pad_left": [0, 0],
        "encoder_att_look_back_factor": [4, 4],
        "decoder_att_look_back_factor": [1, 1],
    },
    {"sanm_shfit": 5},
    "WavFrontendOnline",
)
OFFLINE = paraformer("Paraformer", {"input_layer": "pe"}, {"sanm_shfit": 0}, "WavFrontend")
PUNCTUATION = {
    "model": "CTTransformer",
    "model_conf": {
        "ignore_id": 0,
        "embed_unit": WIDTH,
        "att_unit": WIDTH,
        "punc_list": ["<unk>", "_", "，", "。", "？", "、"],
        "punc_weight": [1.0] * 6,
        "sentence_end_id": 3,
    },
    "encoder": "SANMEncoder",
    "encoder_conf": ENCODER | {"input_size": WIDTH, "input_layer": "pe", "padding_idx": 0},
    "tokenizer": "CharTokenizer",
    "tokenizer_conf": {"unk_symbol": "<unk>"},
}


SENSE = {
    "model": "SenseVoiceSmall",
    "model_conf": {"length_normalized_loss": True, "sos": 1, "eos": 2, "ignore_id": -1},
    "encoder": "SenseVoiceEncoderSmall",
    "encoder_conf": ENCODER | {"input_layer": "pe", "sanm_shfit": 0, "tp_blocks": 1},
    "frontend": "WavFrontend",
    "frontend_conf": dict(EARS) | {"cmvn_file": None},
    "tokenizer": "SentencepiecesTokenizer",
    "tokenizer_conf": {"bpemodel": None, "unk_symbol": "<unk>", "split_with_space": True},
    "input_size": BINS,
}
PIECES = "chn_jpn_yue_eng_ko_spectok.bpe.model"


def build_sense(folder: Path) -> None:
    """Make a SenseVoice laid out as the published one is."""
    folder.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([OTHER_TOKENS, OTHER_TOKENS[::-1]]),
        model_prefix=str(folder / "pieces"),
        vocab_size=len(OTHER_TOKENS) + 8,
        model_type="char",
        character_coverage=1.0,
        user_defined_symbols=["<|zh|>", "<|NEUTRAL|>", "<|Speech|>", "<|withitn|>"],
        hard_vocab_limit=False,
    )
    (folder / "pieces.model").rename(folder / PIECES)
    (folder / "pieces.vocab").unlink()
    (folder / "am.mvn").write_text(cmvn())
    metas = {
        "init_param": "model.pt",
        "config": "config.yaml",
        "tokenizer_conf": {"bpemodel": PIECES},
        "frontend_conf": {"cmvn_file": "am.mvn"},
    }
    (folder / "configuration.json").write_text(json.dumps({"file_path_metas": metas}))
    save(folder, SENSE)


def build(folder: Path, config: dict[str, Any], characters: str) -> None:
    folder.mkdir(parents=True)
    tokens = ["<blank>", "<s>", "</s>", *characters, "<unk>"]
    (folder / "tokens.json").write_text(json.dumps(tokens))
    if "frontend" in config:
        (folder / "am.mvn").write_text(cmvn())
    save(folder, config)


def save(folder: Path, config: dict[str, Any]) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True))
    torch.save({}, folder / "model.pt")
    torch.manual_seed(7)
    model = AutoModel(model=str(folder), device="cpu", disable_update=True).model
    torch.save(model.state_dict(), folder / "model.pt")


def cmvn() -> str:
    def line(value: float) -> str:
        return "<LearnRateCoef> 0 [ " + " ".join([str(value)] * BINS) + " ]"

    return (
        f"<Nnet>\n<Splice> {BINS} {BINS}\n[ 0 ]\n<AddShift> {BINS} {BINS}\n{line(-8.0)}\n"
        f"<Rescale> {BINS} {BINS}\n{line(0.25)}\n</Nnet>\n"
    )


def main(folder: Path) -> None:
    build(folder / "streaming", STREAMING, TOKENS)
    build(folder / "offline", OFFLINE, OTHER_TOKENS)
    build(folder / "punctuation", PUNCTUATION, OTHER_TOKENS)
    build_sense(folder / "sense")
    speaker = folder / "speaker"
    speaker.mkdir()
    config = {"model": "CAMPPlus", "model_conf": {}}
    (speaker / "config.yaml").write_text(yaml.safe_dump(config))
    torch.manual_seed(7)
    model = AutoModel(model="CAMPPlus", model_conf={}, device="cpu", disable_update=True).model
    torch.save(model.state_dict(), speaker / "model.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
