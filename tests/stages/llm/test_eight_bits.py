from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

from stages.events import ChatRequest, Message, TextDelta
from stages.llm.eight_bits import in_eight_bits
from stages.llm.smollm import FAST_FILE, FILE, MODEL, fastest, plugin
from stages.models import ModelStore
from tests.stages.full_disk import only_so_many_bytes_a_file
from tests.stages.streams import gathered


def small_model(path: Path) -> npt.NDArray[np.float32]:
    """Write a model of one slow matrix and one plain vector; return what the matrix holds."""
    values = np.random.default_rng(7).normal(size=(8, 64)).astype(np.float32)
    writer = GGUFWriter(path, "llama")
    writer.add_name("small")
    writer.add_array("tokenizer.ggml.tokens", ["<s>", "a", "ü"])
    writer.add_key_value("llama.rope.freq_base", 1e5, GGUFValueType.FLOAT32)
    four = quants.quantize(values, GGMLQuantizationType.Q4_1)
    writer.add_tensor("blk.0.w", four, raw_dtype=GGMLQuantizationType.Q4_1)
    writer.add_tensor("norm", np.arange(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return quants.dequantize(four, GGMLQuantizationType.Q4_1)


def test_slow_matrices_become_fast_ones_and_all_else_stays(tmp_path: Path) -> None:
    held = small_model(tmp_path / "slow.gguf")

    in_eight_bits(tmp_path / "slow.gguf", tmp_path / "fast.gguf")

    made = GGUFReader(tmp_path / "fast.gguf")
    before = GGUFReader(tmp_path / "slow.gguf")
    own = {name for name in before.fields if not name.startswith("GGUF.")}
    assert own <= set(made.fields)
    for name in own - {"general.file_type"}:
        assert made.fields[name].contents() == before.fields[name].contents(), name
    matrix, norm = made.tensors
    assert (matrix.name, matrix.tensor_type) == ("blk.0.w", GGMLQuantizationType.Q8_0)
    again = quants.dequantize(matrix.data, matrix.tensor_type)
    assert np.abs(again - held).max() < 0.005 * np.abs(held).max()
    assert np.asarray(norm.data).tolist() == list(range(64))
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_where_there_is_no_room_the_file_is_loaded_as_it_is(tmp_path: Path) -> None:
    small_model(tmp_path / FILE)

    with only_so_many_bytes_a_file(64):
        found = fastest(tmp_path)

    assert found == tmp_path / FILE
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
    assert fastest(tmp_path) == tmp_path / FAST_FILE
    made = (tmp_path / FAST_FILE).stat().st_mtime_ns
    assert fastest(tmp_path) == tmp_path / FAST_FILE
    assert (tmp_path / FAST_FILE).stat().st_mtime_ns == made


@pytest.mark.model
async def test_the_model_still_knows_what_it_knew(store: ModelStore) -> None:
    asked = (
        Message("user", "What is the capital of Italy?"),
        Message("assistant", "The capital of Italy is Rome."),
        Message("user", "What is the capital of France?"),
    )
    request = ChatRequest(asked, temperature=0.0, max_tokens=16)

    async with plugin.open(plugin.options(), store) as llm:
        events = await gathered(partial(llm.run, request))

    assert (store.path(MODEL) / FAST_FILE).exists()
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert "Paris" in said
