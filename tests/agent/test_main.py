"""The command itself: its version, and what it lets the libraries say."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.__main__ import COMMANDS, run

ASKED = """
import logging
from agent.__main__ import run
run([*{more}, "turns", "--json"])
for name in ("aiortc.rtcrtpsender", "aioice.ice"):
    logging.getLogger(name).info("checking a pair of addresses")
    logging.getLogger(name).debug("the key of the media is 42")
    logging.getLogger(name).warning("that did not work")
"""


@pytest.mark.parametrize(("more", "told"), [([], 2), (["--debug"], 4)])
def test_what_a_library_says_of_every_connection_is_for_debug_alone_and_its_keys_for_nobody(
    more: list[str], told: int, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASKED.replace("{more}", str(more))],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"FIRSTWORD_STATE": str(tmp_path)},
    )
    said = [line for line in done.stderr.splitlines() if "aiortc" in line or "aioice" in line]
    assert len(said) == told, done.stderr
    assert not any("key" in line for line in said)


def test_it_tells_its_version_as_a_report_of_a_fault_wants_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as done:
        run(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"firstword {importlib.metadata.version('firstword')}\n"


@pytest.mark.parametrize("words", [["serve", "--prot", "1"], ["models", "list", "--prot", "1"]])
def test_what_a_verb_does_not_know_it_says_with_its_own_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        run(words)
    assert done.value.code == 2
    told = capsys.readouterr().err
    verb = " ".join(words[:-2])
    assert told.startswith(f"usage: firstword {verb} [-h]")
    assert told.endswith(f"firstword {verb}: error: unrecognized arguments: --prot 1\n")


@pytest.mark.parametrize("stream", [0, 1, 2])
def test_a_stream_that_was_closed_before_is_no_traceback(stream: int, tmp_path: Path) -> None:
    closed = f"exec {sys.executable} -m agent turns --json {stream}>&-"
    done = subprocess.run(
        ["sh", "-c", closed],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"FIRSTWORD_STATE": str(tmp_path)},
    )
    told = "" if stream == 1 else "[]\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")


WHILE_LOADING = """
import os, signal, sys
from importlib.abc import MetaPathFinder

class Import(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "{name}":
            {happens}

sys.meta_path.insert(0, Import())
from agent.__main__ import main
main({words})
"""


def loading(name: str, words: list[str], happens: str) -> subprocess.CompletedProcess[str]:
    """Run a command to which something happens when a module of it is imported."""
    code = WHILE_LOADING.format(name=name, happens=happens, words=words)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=10
    )


def test_ctrl_c_while_a_command_is_being_loaded_ends_it_without_a_word() -> None:
    ctrl_c = "os.kill(os.getpid(), signal.SIGINT)"
    done = loading("agent.commands.serve", ["serve", "--profile", "bare"], ctrl_c)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_does_not_wait_for_a_thread_that_waits_for_ever() -> None:
    waits = "import threading; threading.Thread(target=threading.Event().wait).start()"
    done = loading("agent.commands.turns", ["turns"], f"{waits}; os.kill(os.getpid(), 2)")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_command_that_cannot_be_loaded_says_so_in_a_sentence() -> None:
    missing = "raise ImportError('No module named numpy')"
    done = loading("stages.asr.campp.tools", ["asr", "show", "model.onnx"], missing)
    told = "firstword: The tool 'asr' cannot be used: No module named numpy.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_may_stand_anywhere(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRSTWORD_STATE", str(tmp_path))
    words = ["memory", "list"]
    assert run([*words[:place], "--debug", *words[place:]]) == 0


def verbs(command: str) -> Iterator[argparse.ArgumentParser]:
    """Yield the parser of a command and those of its verbs."""
    parser = argparse.ArgumentParser(command, description=COMMANDS[command])
    importlib.import_module(f"agent.commands.{command}").add(parser)
    waiting = [parser]
    while waiting:
        yield (one := waiting.pop())
        for action in one._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "bench"])
def test_help_explains_every_verb_and_argument_within_80_columns(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for verb in verbs(command):
        assert verb.description, verb.prog
        unsaid = [
            action.dest
            for action in verb._actions
            if not isinstance(action, argparse._SubParsersAction)
            and not re.match(r"\w", action.help or "")
        ]
        assert not unsaid, f"{verb.prog} does not say what these are: {unsaid}"
        told = verb.format_help()
        assert "None" not in told
        assert max(map(len, told.splitlines())) <= 80, told
