"""A network of phones, from training to a call."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'firstword[train]'")
pytest.importorskip("onnx", reason="needs onnx: pip install 'firstword[train]'")
pytest.importorskip("pocketsphinx", reason="needs PocketSphinx: pip install 'firstword[train]'")

import torch

from stages.asr.campp.decode.spoken import NoSounds
from stages.asr.campp.graph import open_graph
from stages.asr.campp.options import CamppOptions
from stages.asr.campp.stage import open_campp
from stages.asr.campp.training import (
    checkpoint,
    corpus,
    evaluate,
    export,
    listen,
    sets,
    sizes,
    wordmodel,
)
from stages.asr.campp.training.manifest import BadInput
from stages.asr.campp.training.pronounce import Lexicon
from stages.asr.campp.training.text import PHONE_TOKENS, phones_encoded
from stages.asr.campp.training.trainer import train
from stages.events import Audio, Hearing, Pause, Transcript, UtteranceStart
from stages.models import ModelStore
from tests.stages.asr.campp.conftest import noise
from tests.stages.asr.campp.training.tones import chorus, lesson, songbook
from tests.stages.streams import fed

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a network of phones with random weights, its words beside it."""
    torch.manual_seed(3)
    file = tmp_path / "phones.onnx"
    export.export(sizes.network("tiny", PHONE_TOKENS), PHONE_TOKENS, file)
    texts = ["turn on the light", "what time is it", "a letter for you"]
    known = Lexicon.read()
    wordmodel.build(texts, None, 100, (100, 100), own=1.0, lexicon=known).save(
        file.with_suffix(".lm")
    )
    return file


async def test_a_call_gets_words_of_the_lexicon_and_no_others(model: Path, tmp_path: Path) -> None:
    sound = noise(3.0)
    events = [UtteranceStart(1, 0), Audio(sound, 0), Pause(1, len(sound))]
    async with open_campp(CamppOptions(model=str(model)), ModelStore(tmp_path)) as asr:
        hearing = Hearing(hotwords=("light",))
        heard: list[Transcript] = await fed(partial(asr.run, hearing), events)

    assert heard[-1].final
    texts = ("turn on the light", "what time is it", "a letter for you")
    known = {word for text in texts for word in text.split()}
    assert {word for one in heard for word in one.text.split()} <= known


async def test_without_words_beside_it_a_network_of_phones_is_refused(
    model: Path, tmp_path: Path
) -> None:
    model.with_suffix(".lm").unlink()

    with pytest.raises(NoSounds, match=r"phones\.onnx tells phones: set asr\.language_model"):
        async with open_campp(CamppOptions(model=str(model)), ModelStore(tmp_path)):
            pass
    with pytest.raises(BadInput, match=r"there is no \.lm file beside it"):
        sets.spoken(open_graph(model), model.with_suffix(".lm"))


def test_word_errors_of_a_network_of_phones_are_those_of_the_words_it_makes(model: Path) -> None:
    decode = evaluate.words(sets.spoken(open_graph(model), model.with_suffix(".lm"), 0.8, 16))
    frames = np.full((16, len(PHONE_TOKENS)), -9.0, np.float32)
    for place, phone in enumerate(phones_encoded(["L", "AY", "T"])):
        frames[2 * place, phone] = -0.1
        frames[2 * place + 1, 0] = -0.1
    frames[6:, 0] = 0.0

    assert decode(frames) == "light"
    assert decode(frames[:0]) == ""


def test_a_run_of_letters_goes_on_with_phones_and_keeps_all_but_its_output(tmp_path: Path) -> None:
    songbook(tmp_path / "songs", 40)
    phones = chorus(tmp_path)
    told: list[str] = []
    letters = lesson(tmp_path, steps=3, **phones)
    heard = corpus.prepare(letters, tmp_path, tmp_path / "work", told.append)
    train(letters, heard, tmp_path / "run", told.append)
    before = checkpoint.load(tmp_path / "run" / "last.pt")

    network = letters.network.model_copy(update={"units": "phones"})
    spoken = lesson(tmp_path, steps=4, **phones).model_copy(update={"network": network})
    heard = corpus.prepare(spoken, tmp_path, tmp_path / "work", told.append)
    train(spoken, heard, tmp_path / "run", told.append)
    after = checkpoint.load(tmp_path / "run" / "last.pt")

    assert any("the output layer starts anew" in line for line in told)
    assert after.step == 4
    assert after.weights["output.weight"].shape[0] == len(PHONE_TOKENS)
    assert before.weights["norm.weight"].shape == after.weights["norm.weight"].shape


def test_phones_are_told_apart_in_what_a_training_shows() -> None:
    log_probs = torch.full((5, len(PHONE_TOKENS)), -9.0)
    for place, phone in enumerate(phones_encoded(["HH", "AY", "AY"])):
        log_probs[2 * place, phone] = 0.0
        if place < 2:
            log_probs[2 * place + 1, 0] = 0.0

    assert listen.greedy(log_probs) == "HH AY AY"
