"""The learning curve, as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def draw(log: Path, picture: Path) -> None:
    """Draw what a run's log holds: losses above, word errors of what was held back below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    entries: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
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
    figure.savefig(part, format="png", dpi=100)
    part.replace(picture)
