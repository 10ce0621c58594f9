"""A model's metadata is read strictly, and refused with a sentence."""

from __future__ import annotations

import json

import pytest

from stages.asr.campp.geometry import METADATA_KEY, TOKENS_KEY, Geometry, NotAModel, read, write

BASE = Geometry(width=512, heads=8, vocabulary=4, strides=(1, 1, 1))
TOKENS = ("<blank>", "a", "b", "c")


def test_what_was_written_is_read_back() -> None:
    assert read("m.onnx", write(BASE, TOKENS)) == (BASE, TOKENS)


def test_a_call_of_base_keeps_less_than_three_and_a_half_megabytes() -> None:
    assert BASE.state_bytes == 3_489_792
    assert BASE.model_copy(update={"strides": (1, 2, 2)}).state_bytes == 2_179_072


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"chunk": 18, "strides": [1, 2, 2]}, "a chunk of 18 frames cannot be divided"),
        ({"heads": 7}, "width 512 cannot be divided among 7 heads"),
        ({"blank": 9}, "blank 9 is none of 4 tokens"),
        ({"strides": [1, 2]}, "must name the same segments"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"front": {"sample_rate": 8000}}, "front.sample_rate: Input should be 16000"),
        ({"version": 2}, "version: Input should be 1"),
    ],
)
def test_figures_that_do_not_fit_are_named(change: dict[str, object], sentence: str) -> None:
    metadata = write(BASE, TOKENS)
    metadata[METADATA_KEY] = json.dumps(json.loads(metadata[METADATA_KEY]) | change)
    with pytest.raises(NotAModel, match=r"m\.onnx cannot be used") as refused:
        read("m.onnx", metadata)
    assert sentence in str(refused.value)


def test_a_file_of_somebody_else_is_refused() -> None:
    with pytest.raises(NotAModel, match="was not exported by firstword"):
        read("m.onnx", {"model_type": "wenet"})


def test_tokens_must_be_as_many_as_the_output_is_wide() -> None:
    metadata = write(BASE, TOKENS) | {TOKENS_KEY: "<blank>\na"}
    with pytest.raises(NotAModel, match="it has 2 tokens, but its output is 4 wide"):
        read("m.onnx", metadata)
