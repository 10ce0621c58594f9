"""What a stage of a running agent tells operators."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families


async def stage_figures(address: str, kind: str, engine: str) -> dict[str, float]:
    """Return the counters that a stage has of its own, by name."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(address.rstrip("/") + "/metrics")).text
    return {
        sample.name.removeprefix(f"firstword_{kind}_"): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("engine") == engine and "number" in sample.labels
    }
