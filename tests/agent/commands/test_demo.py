"""What ``firstword demo`` says, said to profile ``campp`` as it comes with FirstWord."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.__main__ import run
from agent.caller import Manners, place
from agent.commands.demo import recordings
from agent.profile import load
from agent.serving import own_agent
from stages.models import ModelStore
from tests.agent.caller.sounds import quiet, wav
from tests.servers.tone_agent import tone


def test_a_recording_that_is_not_there_is_said_before_anything_is_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FIRSTWORD_MODELS", str(tmp_path / "models"))
    asked = ["demo", "--say", str(tmp_path / "absent.wav"), "--out", str(tmp_path / "out")]
    assert run(asked) == 2
    told = capsys.readouterr()
    assert told.err == f"firstword: There is no recording {tmp_path / 'absent.wav'}.\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", ["text", "silence", "out"])
def test_what_cannot_be_said_or_kept_is_told_before_anything_is_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    monkeypatch.setenv("FIRSTWORD_MODELS", str(tmp_path / "models"))
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    said = {"text": text, "silence": wav(tmp_path, quiet(0.5))}.get(wrong)
    asked = ["demo", "--say", str(said or wav(tmp_path, tone(0.5)))]
    asked += ["--out", str(text if wrong == "out" else tmp_path / "out")]
    assert run(asked) == 2
    sentence = {
        "text": f"{text} cannot be read as sound: ",
        "silence": f"{said} is silent from end to end; ",
        "out": f"Nothing can be written to {text}: Not a directory; choose another with --out.\n",
    }[wrong]
    assert capsys.readouterr().err.startswith(f"firstword: {sentence}")
    assert not (tmp_path / "models").exists()


@pytest.mark.model
@pytest.mark.timeout(300)
async def test_profile_campp_understands_the_demos_questions_and_answers_them(
    store: ModelStore, tmp_path: Path
) -> None:
    _, *questions = await recordings(tmp_path)  # the reading before them is long, and no question
    async with own_agent("campp", state=tmp_path / "state") as url:
        result = await place(url, questions, profile="campp", manners=Manners(deadline=60.0))

    assert result.failures == ()
    assert result.greeting
    name, capital = result.turns
    assert "name" in name.final.lower()
    assert "capital of france" in capital.final.lower()
    for turn in result.turns:
        assert turn.reply
        assert turn.heard_ms is not None
    shown = [text for turn in result.turns for text in turn.partials]
    assert any(text == text.lower() for text in shown)  # ours: it knows no capitals


@pytest.mark.model
def test_its_words_on_the_screen_are_ours_and_its_finals_are_moonshines() -> None:
    asr: Any = load("campp").chosen("asr").options

    assert asr.partials.engine == "campp"
    assert asr.partials.settings["model"] == "en-small"
    assert asr.finals.engine == "moonshine"
