"""Plug-ins of others are installed for real: folders on the path of a fresh interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from stages.contracts import Kind, Plugin
from stages.errors import UnknownPlugin
from stages.registry import find, names

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "tests" / "example_plugin"
FIND = "from stages.registry import find; find('llm', {name!r})"
TALK = """
import anyio
from stages.events import ChatRequest, Message
from stages.models import ModelStore
from stages.registry import find, names

async def main():
    plugin = find("llm", "phrasebook")
    options = plugin.options.model_validate({"phrases": {"open": "We open at nine."}})
    async with plugin.open(options, ModelStore()) as llm:
        sink, received = anyio.create_memory_object_stream(1)
        async with received, anyio.create_task_group() as tasks:
            tasks.start_soon(llm.run, ChatRequest((Message("user", "When do you OPEN?"),)), sink)
            print("".join([event.text async for event in received]))

print(names("llm"))
anyio.run(main)
"""


def provide(folder: Path, distribution: str, module: str, stages: dict[str, str]) -> None:
    """Put an installed distribution into a folder, as pip leaves it, with these LLM stages."""
    (folder / f"{distribution}.py").write_text(module)
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    points = "\n".join(f"{name} = {value}" for name, value in stages.items())
    (info / "entry_points.txt").write_text(f"[firstword.llm]\n{points}\n")


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that finds the distributions of a folder, and ours."""
    path = os.pathsep.join((str(folder), str(ROOT)))
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )


def sentence(code: str, folder: Path) -> str:
    """Return the last line that failing code leaves: its error."""
    done = python(code, folder)
    assert done.returncode == 1, done.stdout
    return done.stderr.strip().splitlines()[-1]


KINDS: dict[Kind, set[str]] = {
    "vad": {"energy"},
    "turn": {"silence"},
    "asr": {"scripted"},
    "speaker": {"spectrum"},
    "llm": {"echo", "openai"},
    "tts": {"edge", "tone"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_stages(kind: Kind) -> None:
    assert KINDS[kind] <= set(names(kind))
    for name in KINDS[kind]:
        plugin: Plugin[Any] = find(kind, name)
        assert plugin.models(None) == ()


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(UnknownPlugin) as caught:
        find("llm", "gpt")
    assert "There is no llm stage called 'gpt'; there are: " in str(caught.value)
    assert "echo" in caught.value.known


def test_two_providers_of_one_name_are_both_named(tmp_path: Path) -> None:
    provide(tmp_path, "red", "", {"oracle": "red:plugin"})
    provide(tmp_path, "blue", "", {"oracle": "blue:plugin"})
    told = sentence(FIND.format(name="oracle"), tmp_path)
    assert "'oracle' is provided more than once, by blue and red; uninstall all but one." in told


def test_a_foreign_stage_cannot_take_the_name_of_ours(tmp_path: Path) -> None:
    provide(tmp_path, "impostor", "", {"echo": "impostor:plugin"})
    told = sentence(FIND.format(name="echo"), tmp_path)
    assert "by firstword and impostor" in told


def test_a_missing_package_is_named_with_the_extra_that_brings_it(tmp_path: Path) -> None:
    module = "import a_package_nobody_has"
    provide(tmp_path, "heavy", module, {"heavy": "heavy:plugin [big]", "bare": "heavy:plugin"})
    told = sentence(FIND.format(name="heavy"), tmp_path)
    assert "No module named 'a_package_nobody_has'" in told
    assert "[big]'" in told
    assert "pip install" not in sentence(FIND.format(name="bare"), tmp_path)


def test_what_is_no_plugin_is_refused(tmp_path: Path) -> None:
    provide(tmp_path, "odd", "plugin = 'a string'", {"odd": "odd:plugin"})
    told = sentence(FIND.format(name="odd"), tmp_path)
    assert "the llm stage 'odd' cannot be used" in told.lower()
    assert "odd:plugin is no stages.contracts.Plugin" in told


def test_a_stage_that_is_not_chosen_is_not_imported(tmp_path: Path) -> None:
    provide(tmp_path, "grumpy", "raise SystemExit('imported')", {"grumpy": "grumpy:plugin"})
    done = python("from stages.registry import names; print(names('llm'))", tmp_path)
    assert "'grumpy'" in done.stdout


def test_the_example_plugin_works_beside_ours(tmp_path: Path) -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    module = (EXAMPLE / "firstword_phrasebook.py").read_text()
    points = project["entry-points"]["firstword.llm"]
    provide(tmp_path, "firstword_phrasebook", module, points)
    done = python(TALK, tmp_path)
    assert done.stdout.splitlines()[1:] == ["We open at nine."], done.stderr
    assert "'echo'" in done.stdout
    assert "'phrasebook'" in done.stdout


@pytest.mark.network
@pytest.mark.timeout(120)
def test_pip_installs_the_example_plugin(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    made = subprocess.run(
        [*pip, str(target), str(source)], capture_output=True, text=True, timeout=110, check=False
    )
    if made.returncode and "hatchling" in made.stderr:
        pytest.skip("no package registry gives hatchling, which builds the example")
    assert made.returncode == 0, made.stderr
    done = python(TALK, target)
    assert done.stdout.splitlines()[1:] == ["We open at nine."], done.stderr


def test_the_tutorial_shows_the_example_as_it_is() -> None:
    tutorial = (ROOT / "docs" / "plugins.md").read_text()
    for file in ("firstword_phrasebook.py", "pyproject.toml"):
        assert (EXAMPLE / file).read_text().strip() in tutorial
