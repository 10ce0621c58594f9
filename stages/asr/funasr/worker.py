"""One FunASR model in a process of its own: asked over stdin, answers over stdout.

It is run by the interpreter that has FunASR, which need not be the agent's, so it imports nothing
of ours. FunASR prints, sets threads and seeds, and configures logging when it is imported: here it
harms nobody. Models are folders: the agent's store brings and verifies them, nothing is fetched
here. Their weights are PyTorch's own files, which may hold code: none is run.

A message is two lengths (4 bytes each, little end first), JSON of the first length, and samples
(float32) of the second. Each is answered by one, in order; an answer has no samples.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import pickle
import re
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

LENGTHS = struct.Struct("<II")
TAG = re.compile(r"<\|[^|]*\|>")
"""What SenseVoice writes about an utterance: language, feeling, event."""
SHOWN = 3
"""Names of wrong keys that a sentence lists."""


class Refused(Exception):
    """The model cannot be used; the text is the reason."""


class Model:
    """A model that FunASR has loaded, and the caches of those who stream through it."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self.model = load(wanted["model"], wanted)
        punctuation = wanted.get("punctuation")
        self.punctuation = load(punctuation, wanted) if punctuation else None
        self.caches: dict[str, dict[str, Any]] = {}

    def chunk(self, asked: Mapping[str, Any], samples: Any) -> dict[str, Any]:
        """Hear more of a stream; ``text`` is what is new."""
        cache = self.caches.setdefault(asked["stream"], {})
        return {"text": self._stream(cache, asked, samples)}

    def flush(self, asked: Mapping[str, Any], samples: Any) -> dict[str, Any]:
        """Say what a stream would end with if it ended after these samples; it may go on."""
        cache = copy.deepcopy(self.caches.get(asked["stream"], {}))
        return {"text": self._written(self._stream(cache, asked, samples, last=True))}

    def drop(self, asked: Mapping[str, Any], samples: Any) -> dict[str, Any]:
        """Forget a stream."""
        self.caches.pop(asked["stream"], None)
        return {}

    def whole(self, asked: Mapping[str, Any], samples: Any) -> dict[str, Any]:
        """Hear an utterance at once."""
        said = {key: asked[key] for key in ("hotword", "language") if asked.get(key)}
        found = self.model.generate(input=samples, use_itn=True, disable_pbar=True, **said)
        return {"text": self._written(_text(found))}

    def _stream(
        self, cache: dict[str, Any], asked: Mapping[str, Any], samples: Any, last: bool = False
    ) -> str:
        found = self.model.generate(
            input=samples,
            cache=cache,
            is_final=last,
            chunk_size=asked["chunk_size"],
            encoder_chunk_look_back=asked["encoder_look_back"],
            decoder_chunk_look_back=asked["decoder_look_back"],
            disable_pbar=True,
        )
        return _text(found)

    def _written(self, text: str) -> str:
        text = TAG.sub("", text).strip()
        if self.punctuation is None or not text:
            return text
        return _text(self.punctuation.generate(input=text, disable_pbar=True)) or text


def _text(found: Any) -> str:
    return str(found[0].get("text", "")) if found else ""


def load(model: str, wanted: Mapping[str, Any]) -> Any:
    """Load a model from a folder; strictly.

    Raises:
        Refused: there is no such model, or its weights do not fit or are not weights alone.
    """
    folder = _folder(model)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # whatever FunASR asks torch for
    try:
        from funasr import AutoModel
    except ImportError as error:
        raise Refused(f"FunASR cannot be imported ({error})") from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            loaded = AutoModel(
                model=folder,
                device=wanted.get("device", "cpu"),
                ncpu=wanted.get("threads", 1),
                disable_update=True,
                disable_pbar=True,
                trust_remote_code=False,
            )
    except pickle.UnpicklingError as error:
        raise Refused(
            f"the weights in {folder} are not weights alone, and are not loaded"
        ) from error
    except (Exception, SystemExit) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refused(f"FunASR cannot load {folder} ({type(error).__name__}: {first})") from error
    verify(loaded, folder)
    return loaded


def _folder(model: str) -> str:
    """Return the absolute path of a folder; FunASR takes a relative one for a name of the hub."""
    path = Path(model).expanduser()
    if not path.is_dir():
        raise Refused(f"there is no folder {model}")
    if not (path / "config.yaml").is_file() and not (path / "configuration.json").is_file():
        raise Refused(f"{path} holds no FunASR model: there is no config.yaml in it")
    if not any(path.glob("*.p[tb]")) and not any(path.glob("*.bin")):
        raise Refused(f"{path} holds no weights: there is no model.pt in it")
    return str(path.resolve())


def verify(loaded: Any, name: str) -> None:
    """Hold FunASR to its weights: it keeps random ones where a key is missing or does not fit.

    Raises:
        Refused: a parameter of the network has no weights in the file, or of another shape.
    """
    import torch

    file = loaded.kwargs.get("init_param")
    if not file or not os.path.exists(file):
        raise Refused(f"the model {name!r} came without weights")
    given = torch.load(file, map_location="cpu", weights_only=True)
    for wrapping in ("state_dict", "model_state_dict", "model"):
        given = given.get(wrapping, given)
    shapes = {key.removeprefix("module."): tuple(value.shape) for key, value in given.items()}
    network = {key: tuple(value.shape) for key, value in loaded.model.state_dict().items()}
    missing = sorted(network.keys() - shapes.keys())
    other = sorted(key for key in network.keys() & shapes.keys() if network[key] != shapes[key])
    if missing or other:
        raise Refused(_misfit(file, missing, other))


def _misfit(file: str, missing: list[str], other: list[str]) -> str:
    parts = []
    for keys, fault in ((missing, "missing"), (other, "of another shape")):
        if keys:
            more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
            parts.append(f"{len(keys)} {fault} ({', '.join(keys[:SHOWN])}{more})")
    return (
        f"the weights in {file} do not fit the network that its config.yaml describes:"
        f" {'; '.join(parts)}"
    )


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer until the other end closes; the first message says what to load."""
    import numpy as np

    model: Model | None = None
    while head := source.read(LENGTHS.size):
        words, sound = LENGTHS.unpack(head)
        asked = json.loads(source.read(words))
        samples = np.frombuffer(source.read(sound), dtype=np.float32).copy()
        answer: dict[str, Any]
        try:
            if model is None:
                model, answer = Model(asked), {}
            else:
                answer = getattr(model, asked["do"])(asked, samples)
        except Refused as error:
            answer = {"refused": str(error)}
        except Exception as error:  # noqa: BLE001 - one bad step does not end the others
            answer = {"failed": f"{type(error).__name__}: {error}"}
        packed = json.dumps(answer).encode()
        sink.write(LENGTHS.pack(len(packed), 0) + packed)
        sink.flush()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what FunASR prints is no answer
    serve(sys.stdin.buffer, answers)
