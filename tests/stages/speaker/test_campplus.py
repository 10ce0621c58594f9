"""CAM++: our path is FunASR's, to the fourth nine; what is not CAM++ is refused."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from anyio import to_thread

from stages import registry
from stages.errors import ModelCorrupt, ModelMissing, ModelPullFailed, PluginUnavailable
from stages.models import CATALOGUE, Hub, ModelStore
from stages.speaker.campplus import FILE, NOTE, load
from stages.speaker.convert import PYTHON, convert, convert_stored
from tests.stages.clips import clip
from tests.stages.file_server import Files, serving
from tests.stages.hub_server import Repository
from tests.stages.trap import Trap

pytestmark = pytest.mark.timeout(300)  # importing FunASR alone takes 10 to 40 s
REFERENCE = Path(__file__).with_name("reference.py")
CLIPS = ("dev/sv/3ds_a_cn.flac", "dev/sv/yyp_a_2.flac", "dev/sv/pr_1.flac")


@pytest.fixture(scope="module")
def converted(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("campplus")
    convert(tiny / "speaker", folder)
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
        convert(tiny / "offline", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_conversion_the_sentence_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="make it with: firstword speaker convert"):
        load(tmp_path)


async def test_weights_of_a_hub_are_pulled_verified_and_converted_in_one_step(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = (tiny / "speaker" / "model.pt").read_bytes()
    with serving(Files({})) as hub:
        source = CATALOGUE["campplus-zh-en"].source
        assert isinstance(source, Hub)
        repository = Repository("modelscope", hub, source.repository, source.revision)
        repository.offer({"campplus_cn_en_common.pt": weights, "README.md": b"# CAM++"})
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
        store = ModelStore(tmp_path / "store")
        await to_thread.run_sync(convert_stored, store, "campplus-zh-en", tmp_path / "out")
        hub.files[repository.file_route("campplus_cn_en_common.pt")] = bytes(len(weights))
        with pytest.raises(ModelPullFailed, match="not the file that the hub's own list knows"):
            await to_thread.run_sync(
                convert_stored, ModelStore(tmp_path / "b"), "campplus-zh-en", tmp_path / "b"
            )
    load(tmp_path / "out")
    note = json.loads((tmp_path / "out" / NOTE).read_text())
    assert note["source"] == "modelscope iic/speech_campplus_sv_zh_en_16k-common_advanced"
    assert note["licence"] == "Apache-2.0"
    assert not (tmp_path / "b" / FILE).exists()


async def test_the_catalogue_knows_the_chinese_weights_and_takes_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = CATALOGUE["campplus-zh-cn"]
    assert isinstance(known.source, Hub)
    with serving(Files({})) as hub:
        repository = Repository("modelscope", hub, known.source.repository, known.source.revision)
        repository.offer({known.files[0].member: bytes(known.files[0].size)})
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
        with pytest.raises(ModelPullFailed, match="is not the file that the catalogue knows"):
            await ModelStore(tmp_path).pull(["campplus-zh-cn"])


def test_a_file_that_holds_code_is_refused_and_the_code_is_not_run(
    tiny: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    ran = tmp_path / "ran"
    (weights / "campplus_cn_common.bin").write_bytes(pickle.dumps(Trap(str(ran))))
    with pytest.raises(PluginUnavailable, match="is no file of weights alone, and is not loaded"):
        convert(weights, tmp_path / "out")
    assert not ran.exists()
    assert list((tmp_path / "out").iterdir()) == []


def test_the_command_converts_a_folder_and_a_voice_is_enrolled_with_it(
    tiny: Path, tmp_path: Path, speech: Path
) -> None:
    environment = os.environ | {
        "FIRSTWORD_MODELS": str(tmp_path / "models"),
        "FIRSTWORD_STATE": str(tmp_path / "state"),
    }

    def speaker(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "agent", "speaker", *map(str, arguments)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )

    converted = speaker("convert", tiny / "speaker")
    assert converted.stdout == f"CAM++ is ready in {tmp_path / 'models' / 'campplus'}\n"
    made = speaker("enrol", "--engine", "campplus", "小美", speech / "dev/sv/pr_1.flac")
    assert made.returncode == 0, made.stderr
    assert "小美" in (listed := speaker("list").stdout)
    assert "campplus" in listed


def test_a_name_that_the_store_does_not_know_is_a_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent", "speaker", "convert", "campplus-fr"]
    environment = os.environ | {"FIRSTWORD_MODELS": str(tmp_path)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "The model 'campplus-fr' is not here: FirstWord knows no such model" in done.stderr
    assert "Traceback" not in done.stderr
