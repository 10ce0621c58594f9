"""The weights that come with FirstWord on human speech: no worse than their card says, by far."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")

from stages.asr.campp.article.forge import shipped
from stages.asr.campp.graph import open_graph
from stages.asr.campp.training import config, evaluate, manifest, sets
from stages.asr.campp.training.manifest import Clip

pytestmark = pytest.mark.timeout(300)


def held_back(name: str, speech: Path) -> list[Clip]:
    """Return the clips of a source that the shipped model was not trained on."""
    sources = config.read(shipped("en-small.yaml")).sources
    source = next(source for source in sources if source.name == name)
    clips = manifest.read(source.file(speech, Path()), source.sets)
    return [c for c in clips if manifest.held_back(c, source.hold_by, source.hold_share)]


def test_the_shipped_weights_understand_people_whom_they_have_not_heard(speech: Path) -> None:
    graph = open_graph(shipped("en-small.onnx"))
    decode = evaluate.words(sets.spoken(graph, shipped("en-small.lm")))

    def word_errors(clips: list[Clip]) -> float:
        assert len(clips) >= 12
        heard = evaluate.hear(graph, clips)
        return evaluate.outcome("", clips, [decode(one) for one in heard.log_probs]).errors.rate

    dev = sets.of_manifests([speech / "dev" / "manifest.jsonl"], ("en_assistant",))
    assert word_errors(dev["en_assistant"]) < 0.65
    assert word_errors(held_back("s2i", speech)[::2]) < 0.2
