"""Opens a model file, and refuses what is none before a call is taken."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import onnxruntime as ort

from stages.asr.campp import names
from stages.asr.campp.geometry import Geometry, NotAModel, read
from stages.errors import UserError

Device: TypeAlias = Literal["cpu", "cuda", "tensorrt"]

CPU = "CPUExecutionProvider"
PROVIDERS: dict[Device, tuple[str, ...]] = {
    "cpu": (CPU,),
    "cuda": ("CUDAExecutionProvider", CPU),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", CPU),
}


@dataclass(frozen=True, slots=True)
class Graph:
    """A model that is loaded and whose tensors are those that its metadata promises."""

    session: Any  # onnxruntime.InferenceSession
    geometry: Geometry
    tokens: tuple[str, ...]
    device: Device


def open_graph(
    file: Path,
    device: Device = "cpu",
    threads: int = 1,
    memory_mb: int = 0,
    cache: Path | None = None,
) -> Graph:
    """Load a model.

    Args:
        file: an ONNX file exported by ``firstword asr``.
        device: where it runs.
        threads: within one operator, on the CPU.
        memory_mb: the most that a CUDA arena may take; 0 is no limit.
        cache: folder where TensorRT keeps the engines it builds.

    Raises:
        NotAModel: no such file, no ONNX, not ours, or its tensors are not what it says.
        UserError: this onnxruntime cannot use the device.
    """
    _check_device(device)
    if not file.is_file():
        raise NotAModel(str(file), "there is no such file")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Waiting threads must not burn the core that the voice and the network need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(
            str(file), options, providers=_providers(device, memory_mb, cache)
        )
    except Exception as error:  # onnxruntime's errors have no base class of their own
        raise NotAModel(str(file), f"onnxruntime cannot load it ({_first_line(error)})") from error
    geometry, tokens = read(str(file), session.get_modelmeta().custom_metadata_map)
    _check_tensors(str(file), session, geometry)
    return Graph(session, geometry, tokens, device)


def _check_device(device: Device) -> None:
    there = ort.get_available_providers()
    wanted = PROVIDERS[device][0]
    if wanted not in there:
        raise UserError(
            f"device: {device} needs onnxruntime's {wanted}, but this one has {', '.join(there)}."
            " Only one onnxruntime may be installed: pip install 'firstword[gpu]' && pip uninstall"
            " -y onnxruntime onnxruntime-gpu && pip install --no-deps onnxruntime-gpu."
        )


def _providers(device: Device, memory_mb: int, cache: Path | None) -> list[Any]:
    cuda: dict[str, str] = {"arena_extend_strategy": "kSameAsRequested"}
    if memory_mb:
        cuda["gpu_mem_limit"] = str(memory_mb * 1024 * 1024)
    tensorrt = {"trt_fp16_enable": "True"}
    if cache:
        tensorrt |= {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(cache)}
    options = {"CUDAExecutionProvider": cuda, "TensorrtExecutionProvider": tensorrt}
    return [(name, options.get(name, {})) for name in PROVIDERS[device]]


def _check_tensors(file: str, session: Any, geometry: Geometry) -> None:
    shapes = names.shapes(geometry)
    for what, wanted, given in (
        ("inputs", names.inputs(geometry), session.get_inputs()),
        ("outputs", names.outputs(geometry), session.get_outputs()),
    ):
        found = {tensor.name: tuple(tensor.shape[1:]) for tensor in given}
        if sorted(found) != sorted(wanted):
            odd = sorted(set(found) ^ set(wanted))
            raise NotAModel(file, f"its {what} are not those of a step: {', '.join(odd[:4])}")
        for name in wanted:
            if found[name] != shapes[name]:
                raise NotAModel(
                    file, f"{name} has the shape {found[name]}, its metadata says {shapes[name]}"
                )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0][:200]
