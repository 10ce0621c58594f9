"""Weights of 4 bits that the CPU reads slowly, written again in 8 bits that it reads fast.

llama.cpp multiplies several tokens by a matrix of type Q8_0 in one go; for Q4_1 it has no such
routine on x86 and takes token after token. Measured with SmolLM2-135M on one core: 13 tokens of
a question are read in 68 ms instead of 86, a token of the answer takes 10.6 ms instead of 12.4;
answers stay the same but for a word now and then, as a block of Q8_0 holds the 16 values of a
block of Q4_1 to within 0.4 % of the largest.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType, quants

SLOW = GGMLQuantizationType.Q4_1
FAST = GGMLQuantizationType.Q8_0

_KIND = "general.file_type"
_OWN = ("GGUF.", "general.architecture")  # what the writer writes by itself


def in_eight_bits(source: Path, target: Path) -> None:
    """Write a model again, its Q4_1 matrices as Q8_0 and all else as it is; whole or not at all.

    Takes a second for 98 MB; the new file has half as much again.

    Raises:
        OSError: it cannot be written.
    """
    reader = GGUFReader(source)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    writer = GGUFWriter(part, str(reader.fields["general.architecture"].contents()))
    try:
        _copy_fields(reader, writer)
        for tensor in reader.tensors:
            _copy(tensor, writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(part, target)
    finally:
        with suppress(OSError):  # after a failure it fails again, and lets go of the file
            writer.close()
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _copy_fields(reader: GGUFReader, writer: GGUFWriter) -> None:
    for name, field in reader.fields.items():
        if name.startswith(_OWN):
            continue
        kind = field.types[0]
        of = field.types[-1] if kind == GGUFValueType.ARRAY else None
        value = LlamaFileType.MOSTLY_Q8_0 if name == _KIND else field.contents()
        writer.add_key_value(name, value, kind, of)


def _copy(tensor: Any, writer: GGUFWriter) -> None:
    if tensor.tensor_type != SLOW:
        writer.add_tensor(tensor.name, np.asarray(tensor.data), raw_dtype=tensor.tensor_type)
        return
    values = quants.dequantize(tensor.data, SLOW)
    writer.add_tensor(tensor.name, quants.quantize(values, FAST), raw_dtype=FAST)
