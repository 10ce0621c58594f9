"""Profiles that are saved while calls go on."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest

from agent.errors import ProfileError
from agent.resources import folder
from agent.roster import Roster, same
from tests.skipping import skipping

FOX = "extends: bare\nname: Fox\ngreeting: Hello from the fox.\n"


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "fox.yaml").write_text(FOX)
    return tmp_path, folder("profiles")


def test_a_saved_profile_is_read_anew(places: tuple[Path, Path]) -> None:
    roster = Roster(places)
    before = roster.get("fox")
    (places[0] / "fox.yaml").write_text("# a remark\n" + FOX)
    assert same(roster.get("fox"), before), "a remark changes nothing"
    (places[0] / "fox.yaml").write_text(FOX.replace("Hello", "Good morning"))
    assert roster.get("fox").greeting == "Good morning from the fox."


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (FOX + "colour: red\n", "there is no field 'colour'"),
        (FOX + "voice: {engine: flute}\n", "no tts stage called 'flute'"),
        (FOX + "voice: {engine: tone, hertz: 1}\n", "'voice.hertz'"),
        ("extends: [", ""),
        ("extends: wolf\n", "names no profile that is there"),
    ],
)
def test_a_broken_edit_keeps_the_last_good_one_and_says_why(
    places: tuple[Path, Path], edit: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    roster = Roster(places)
    good = roster.get("fox")
    (places[0] / "fox.yaml").write_text(edit)
    with caplog.at_level(logging.WARNING):
        assert roster.get("fox") is good
        assert roster.get("fox") is good
    assert says in roster.why_stale("fox")
    [warning] = caplog.records
    assert "fox.yaml" in warning.getMessage(), "said once, with its file"
    assert "last good version" in warning.getMessage()
    (places[0] / "fox.yaml").write_text(FOX)
    assert same(roster.get("fox"), good)
    assert roster.why_stale("fox") == ""


def test_one_that_never_was_right_is_refused(places: tuple[Path, Path]) -> None:
    (places[0] / "fox.yaml").write_text("colour: red\n")
    with pytest.raises(ProfileError, match="the field"):
        Roster(places).get("fox")
    with pytest.raises(ProfileError, match="there is no profile 'wolf'"):
        Roster(places).get("wolf")


@skipping
async def test_the_watch_notices_what_is_saved_made_and_removed(
    places: tuple[Path, Path],
) -> None:
    changes, news = 0, anyio.Event()

    async def changed() -> None:
        nonlocal changes, news
        changes += 1
        news.set()
        news = anyio.Event()

    async def until(count: int) -> None:
        while changes < count:
            await news.wait()

    async with anyio.create_task_group() as tasks:
        await tasks.start(Roster(places).watch, changed)
        (places[0] / "fox.yaml").write_text(FOX + "language: zh-CN\n")
        await until(1)
        (places[0] / "wolf.yml").write_text(FOX)
        await until(2)
        (places[0] / "wolf.yml").unlink()
        await until(3)
        (places[0] / "notes.txt").write_text("no profile")
        tasks.cancel_scope.cancel()
