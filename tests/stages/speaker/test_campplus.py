"""CAM++: our path is FunASR's, to the fourth nine; what is not CAM++ is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stages import registry
from stages.errors import ModelCorrupt, ModelMissing, PluginUnavailable
from stages.models import ModelStore
from stages.speaker.campplus import FILE, NOTE, load
from stages.speaker.convert import PYTHON, convert
from tests.stages.clips import clip

pytestmark = pytest.mark.timeout(300)  # importing FunASR alone takes 10 to 40 s
REFERENCE = Path(__file__).with_name("reference.py")
CLIPS = ("dev/sv/3ds_a_cn.flac", "dev/sv/yyp_a_2.flac", "dev/sv/pr_1.flac")


@pytest.fixture(scope="module")
def converted(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("campplus")
    convert(str(tiny / "speaker"), folder)
    return folder


def test_it_embeds_real_speech_as_funasr_does_with_the_same_weights(
    converted: Path, tiny: Path, speech: Path, tmp_path: Path
) -> None:
    clips = {Path(name).stem: clip(speech, name) for name in CLIPS}
    for name, samples in clips.items():
        np.save(tmp_path / f"{name}.npy", samples)
    python = os.environ.get(PYTHON) or sys.executable
    command = [python, "-I", str(REFERENCE), str(tiny / "speaker"), str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    stage = load(converted)
    for name, samples in clips.items():
        theirs, ours = np.load(tmp_path / f"{name}.embedding.npy"), stage.listen(samples)
        assert ours.shape == (192,)
        assert float(ours @ theirs) / np.linalg.norm(theirs) > 0.9999


async def test_the_plug_in_opens_what_was_converted_into_the_store(
    converted: Path, tmp_path: Path, speech: Path
) -> None:
    shutil.copytree(converted, tmp_path / "campplus")
    plugin = registry.find("speaker", "campplus")
    async with plugin.open(plugin.options(), ModelStore(tmp_path)) as stage:
        first = await stage.embed(clip(speech, CLIPS[0]))
        assert float(np.linalg.norm(first)) == pytest.approx(1.0, abs=1e-5)
        assert np.allclose(await stage.embed(np.zeros(10, dtype=np.float32)), 0) is False
        assert stage.model.startswith("campplus ")


def test_the_note_says_where_the_weights_came_from(converted: Path, tiny: Path) -> None:
    note = json.loads((converted / NOTE).read_text())
    assert note["source"] == str(tiny / "speaker")
    assert len(note["weights_sha256"]) == len(note["sha256"]) == 64


def test_a_network_that_was_changed_is_refused(converted: Path, tmp_path: Path) -> None:
    shutil.copytree(converted, tmp_path / "campplus")
    with (tmp_path / "campplus" / FILE).open("r+b") as file:
        file.seek(1000)
        file.write(b"?")
    with pytest.raises(ModelCorrupt, match="Make it with: firstword speaker convert"):
        load(tmp_path / "campplus")


def test_weights_of_something_else_are_refused_and_leave_nothing(
    tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(PluginUnavailable, match="holds other weights than CAM"):
        convert(str(tiny / "offline"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_conversion_the_sentence_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="make it with: firstword speaker convert"):
        load(tmp_path)
