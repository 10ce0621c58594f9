"""``firstword call`` as its user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from agent.__main__ import run
from agent.caller import Manners, TurnResult
from agent.commands import call
from agent.errors import NotPossible
from agent.line import PLAYOUT_RATE
from agent.webrtc import sound
from tests.servers.tone_agent import ToneAgent, serving, tone

QUICK = Manners(settle=0.2, deadline=1.5)


@pytest.fixture
def beep(tmp_path: Path) -> Path:
    file = tmp_path / "beep.wav"
    sound.write(file, [(tone(0.3) * 32_767).astype(np.int16)], PLAYOUT_RATE)
    return file


async def test_it_prints_what_is_said_and_where_the_wait_went(
    beep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(ToneAgent()) as agent:
        assert await call.place(agent.url, [beep], manners=QUICK) == 0
    printed = capsys.readouterr().out
    for words in ("connected to Tone", "caller: Beep.", "Tone: Toot.", "endpoint", "residual"):
        assert words in printed


async def test_with_json_the_result_alone_is_on_standard_output(
    beep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(ToneAgent()) as agent:
        assert await call.place(agent.url, [beep], as_json=True, manners=QUICK) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["turns"][0]["final"] == "Beep."
    assert result["turns"][0]["timeline"]["spans"] == [["endpoint", 300.0]]


async def test_a_failed_turn_is_exit_code_1(
    beep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(ToneAgent(mute=True)) as agent:
        assert await call.place(agent.url, [beep], manners=QUICK) == 1
    assert "no whole reply within" in capsys.readouterr().out


@pytest.mark.parametrize(
    "url",
    ["ftp://host", "http://", "http:///path", "http://[::1", "http://host:99999", "http://host:0"],
)
def test_a_url_that_is_none_is_exit_code_2(
    url: str, beep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["call", url, "--say", str(beep)]) == 2
    assert "is no address of an agent; write http://HOST:PORT." in capsys.readouterr().err


def test_no_figure_of_the_table_is_cut_at_eighty_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ("endpoint", "asr", "llm", "clause", "tts", "playout")
    spans = [*((name, 12345.6) for name in names), ("ear", 123.4)]
    turn = TurnResult(
        file="a.wav",
        turn=1,
        partials=(),
        final="",
        reply="",
        heard_text="",
        interrupted=False,
        heard_ms=98765.0,
        silenced_ms=None,
        marks={},
        timeline={"spans": spans, "first_response_ms": 98765.0},
        failure=None,
    )
    Console(width=80).print(call.table([turn]))
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert printed.count("12346") == len(names)
    assert printed.count("98765") == 2


async def test_what_cannot_be_kept_is_said_before_the_call(
    beep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(ToneAgent()) as agent:
        with pytest.raises(NotPossible, match=r"written to .*: Not a directory; choose another"):
            await call.place(agent.url, [beep], out=beep, manners=QUICK)
    assert "connected" not in capsys.readouterr().out


def test_interrupting_before_the_reply_is_exit_code_2(
    beep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["call", "http://127.0.0.1:9", "--say", str(beep), "--barge-in", "-5"]) == 2
    assert "--barge-in wants milliseconds from 0 on, not -5." in capsys.readouterr().err


def test_a_recording_that_is_absent_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["call", "http://127.0.0.1:9", "--say", "absent.wav"]) == 2
    assert capsys.readouterr().err == "firstword: There is no recording absent.wav.\n"
