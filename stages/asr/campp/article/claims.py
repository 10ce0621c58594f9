"""What the article says (10 Feb 2026), to stand beside what we measure. None of it is ours."""

from __future__ import annotations

AB = {
    "rtf": ("1.70", "0.98"),
    "memory a stream": ("4.15 GB", "0.64 GB"),
    "streams a core": ("62", "143"),
    "wer": ("5.1 %", "5.4 %"),
}
"""Before and after."""

QUANTISATION = {"fp32": "360 MB, WER 5.1 %", "qat": "92 MB, WER 5.4 %"}

CHUNKS = {
    8: "80 ms less delay, 1.8 % more repeated characters, 1 % more WER than 16",
    16: "its advice, with 4 chunks of history",
}

RESCORING = "a larger language model: WER 0.7 % lower, first packet 120 ms later"

BATCHING = "waits 80 ms at most; 2 calls became 8 on one card"


def as_dict() -> dict[str, object]:
    """Return all of it for programs, by table."""
    return {
        "ab": {name: {"before": one, "after": other} for name, (one, other) in AB.items()},
        "quantisation": QUANTISATION,
        "chunks": {str(chunk): said for chunk, said in CHUNKS.items()},
        "rescoring": RESCORING,
        "batching": BATCHING,
    }
