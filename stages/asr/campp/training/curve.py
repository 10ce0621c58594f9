"""The learning curve, as a picture."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any


def draw(log: Path, picture: Path) -> None:
    """Draw what a run's log holds: losses above, word errors of what was held back below.

    Raises:
        OSError: the log cannot be read, or the picture not be written.
        ImportError: Matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A full disk may have torn the last line.
    whole, _, _ = log.read_text(encoding="utf-8").rpartition("\n")
    entries: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
    steps = [entry for entry in entries if "loss" in entry]
    looks = [entry for entry in entries if "held" in entry]
    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    losses, words = figure.subplots(2, 1, sharex=True)
    losses.plot([e["step"] for e in steps], [e["loss"] for e in steps], label="training")
    losses.plot([e["step"] for e in looks], [e["held_loss"] for e in looks], label="held back")
    losses.set_ylabel("CTC loss a token")
    losses.legend()
    for name in sorted({name for entry in looks for name in entry["held"]}):
        seen = [(e["step"], e["held"][name]) for e in looks if name in e["held"]]
        words.plot([s for s, _ in seen], [100 * r for _, r in seen], label=name)
    words.set_ylabel("word errors, % (held back)")
    words.set_xlabel("step")
    words.set_ylim(0, 110)
    if looks:
        words.legend(fontsize="small", ncols=2)
    part = picture.with_name(picture.name + ".part")
    try:
        figure.savefig(part, format="png", dpi=100)
        part.replace(picture)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
