"""``firstword serve``: what keeps it from starting is one sentence and exit code 2."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from agent.__main__ import BAD_INPUT, run
from agent.commands import serve


def settings(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    serve.add(parser)
    return parser.parse_args(arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--host", "0.0.0.0"], "so a token is needed: set FIRSTWORD_TOKEN"),
        (["--port", "70000"], "--port must be between 0 and 65535, not 70000."),
        (["--max-calls", "0"], "--max-calls must be at least 1, not 0."),
        (["--udp-ports", "5"], "--udp-ports wants a range like 50000-50100, not '5'."),
        (["--udp-ports", "9-5"], "ports must be a first and a last one between 1024 and 65535"),
        (["--stun", "a b"], "is no address of an ICE server"),
        (["--profile", "nobody"], "there is no profile 'nobody'; there are: "),
    ],
)
def test_a_wrong_argument_is_one_sentence(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("FIRSTWORD_TOKEN", raising=False)
    monkeypatch.setenv("FIRSTWORD_PROFILES", str(tmp_path))
    assert run(["serve", *arguments]) == BAD_INPUT
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.timeout(60)
@pytest.mark.parametrize("output", ["no reader", "/dev/full", "closed"])
def test_where_its_address_cannot_be_printed_it_answers_all_the_same(
    output: str, tmp_path: Path
) -> None:
    script = {"no reader": "| true", "/dev/full": ">/dev/full", "closed": ">&-"}[output]
    serving = f"{sys.executable} -m agent serve --profile bare --port 0 --until-eof {script}"
    with subprocess.Popen(
        ["sh", "-c", serving],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"FIRSTWORD_STATE": str(tmp_path)},
    ) as server:
        assert server.stdin is not None
        assert server.stderr is not None
        if output != "closed":
            told = re.search(r"answers at (\S+) .* output does not take", server.stderr.readline())
            assert told is not None
            assert httpx.get(told[1]).status_code == 200
        server.stdin.close()
        assert server.stderr.read() == ""
    assert server.returncode == 0


def test_until_eof_needs_an_input_that_can_be_waited_for() -> None:
    asked = [sys.executable, "-m", "agent", "serve", "--profile", "bare", "--until-eof"]
    done = subprocess.run(
        asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (BAD_INPUT, "")
    assert done.stderr == (
        "firstword: --until-eof waits for the end of standard input, which must be a pipe or a"
        " terminal for that.\n"
    )


def test_the_credential_of_turn_comes_from_the_environment_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FIRSTWORD_TOKEN", "hunter1")
    monkeypatch.setenv("FIRSTWORD_TURN_USERNAME", "me")
    monkeypatch.setenv("FIRSTWORD_TURN_CREDENTIAL", "hunter2")
    options = settings("--turn", "turn.example.org:3478", "--udp-ports", "50000-50100")
    ice = serve.ice_settings(options)
    asked = serve.serve_settings(options, ice)
    assert ice.ports == (50000, 50100)
    assert asked.ice_servers == (
        {"urls": "turn:turn.example.org:3478", "username": "me", "credential": "hunter2"},
    )
    assert "hunter" not in repr(asked) + repr(ice)
