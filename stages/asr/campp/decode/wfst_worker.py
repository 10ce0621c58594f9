"""A process that decodes with WFST for many calls: the decoder holds Python's lock while it works.

It reads requests from its standard input and answers on its standard output, in order. A request
is two lengths (little-endian, 32 bits), JSON, and log-probabilities; an answer one length, JSON.
"""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from stages.asr.campp.decode.wfst_search import Rules, Search, TokenGraph
from stages.errors import UserError

REQUEST, ANSWER = struct.Struct("<II"), struct.Struct("<I")


def main() -> None:
    """Serve until the input ends. The first request is the set-up, with data of length 0."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    setup, _ = _read(source)
    try:
        graph = TokenGraph(Path(setup["folder"]), tuple(setup["tokens"]))
    except UserError as error:
        _write(target, {"refused": str(error)})
        return
    rules = Rules(**setup["rules"])
    _write(target, {"refused": None})
    searches: dict[int, Search] = {}
    while True:
        try:
            request, data = _read(source)
        except EOFError:
            return
        for number in request["forget"]:
            searches.pop(number, None)
        search = searches.setdefault(request["stream"], Search(graph, rules))
        log_probs = np.frombuffer(data, np.float32).reshape(-1, len(setup["tokens"]))
        _write(target, {"id": request["id"], **_answer(search, request["look"], log_probs)})


def _answer(search: Search, look: bool, log_probs: np.ndarray[Any, Any]) -> dict[str, object]:
    try:
        spans = (search.look if look else search.take)(log_probs)
    except RuntimeError as error:  # kaldi's own
        return {"error": str(error)}
    return {
        "words": [[span.text, span.first, span.last] for span in spans],
        "frames": search.frames,
        "spoken": search.spoken,
    }


def _read(source: BinaryIO) -> tuple[dict[str, Any], bytes]:
    text, data = REQUEST.unpack(_exactly(source, REQUEST.size))
    return json.loads(_exactly(source, text)), _exactly(source, data)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _write(target: BinaryIO, answer: dict[str, object]) -> None:
    text = json.dumps(answer).encode()
    target.write(ANSWER.pack(len(text)) + text)
    target.flush()


if __name__ == "__main__":
    main()
