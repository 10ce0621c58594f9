"""A call in Chinese from the caller's speech to the character's voice, on what runs anywhere.

FunASR's 2-pass server, the chat server and the read-aloud service are local ones that speak
their protocols; the speech is people's.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.commands import call
from agent.engines import Mouth, Stages, open_engines
from agent.messages import Heard, ReplyEnd
from agent.profile import Profile, Shelf
from stages.asr.funasr.names import PYTHON
from stages.audio import silence
from stages.errors import Transient
from stages.events import SAMPLE_RATE, Voice
from stages.models import ModelStore
from stages.tts.edge import EdgeOptions, EdgeTts
from tests.agent.calling import calling
from tests.servers.chat import chat_server, says
from tests.servers.edge import edge_server, mp3, speaks, tone
from tests.servers.funasr_ws import FunasrServer, funasr_server
from tests.servers.programs import program
from tests.stages.asr.funasr.conftest import tiny
from tests.stages.clips import clip
from tests.web.serving import served

__all__ = ["tiny"]

SAID = mp3(np.concatenate((tone(100, 0), tone(600), tone(300, 0))))
PROFILE = """\
extends: bare
name: 晓晓
language: zh-CN
greeting: 你好呀，我是晓晓。
persona_prompt: 你叫晓晓。
asr: {{engine: funasr_server, url: "{asr}", hotwords: [晓晓]}}
llm: {{base_url: "{llm}", model: m}}
"""


def profile(folder: Path, text: str) -> Profile:
    file = folder / "xiao.yaml"
    file.write_text(text, encoding="utf-8")
    shipped = Path(__file__).resolve().parents[2] / "profiles"
    return Shelf((folder, shipped)).load("xiao")


def speaking(tts: EdgeTts) -> Callable[[Stages], Stages]:
    mouth = Mouth("edge", tts, Voice("zh-CN-XiaoxiaoNeural", rate=1.05))
    return lambda stages: replace(stages, mouths=(mouth,))


async def test_chinese_speech_is_heard_answered_and_spoken(tmp_path: Path, speech: Path) -> None:
    words = FunasrServer(("甚至", "出现", "交易", "几乎"), ("甚至出现交易几乎停滞的情况。", ""))
    async with (
        funasr_server(words) as asr,
        chat_server(says("市场", "有时会这样，", "别太担心。")) as llm,
        edge_server(tmp_path, speaks(SAID)) as voice,
    ):
        wanted = profile(tmp_path, PROFILE.format(asr=asr.url, llm=llm.url))
        tts = EdgeTts(EdgeOptions.model_validate({}), voice.connector)
        async with calling(tmp_path, wanted, speaking(tts), pace=0.01) as running:
            await running.page.wait_for(ReplyEnd)
            running.line.say(clip(speech, "dev/zh/aishell_BAC009S0764W0121.flac"))
            running.line.say(silence(3 * SAMPLE_RATE))
            end = await running.page.wait_for(ReplyEnd, 2)
            asked = llm.asked[-1]["messages"]
    heard = running.page.all(Heard)
    assert [one.text for one in heard if one.final] == ["甚至出现交易几乎停滞的情况。"]
    assert any(one.text.startswith("甚至") and not one.final for one in heard)
    assert asked[-1] == {"role": "user", "content": "甚至出现交易几乎停滞的情况。"}
    assert end.heard == "市场有时会这样，别太担心。"
    assert json.loads(str(words.greetings[-1]["hotwords"])) == {"晓晓": 20}


async def test_where_the_online_voice_is_refused_the_robots_voice_says_the_same_reply(
    tmp_path: Path, speech: Path
) -> None:
    """What a machine without a network has of a Chinese voice: Debian's espeak-ng."""
    program("espeak-ng")
    words = FunasrServer(("甚至", "出现"), ("甚至出现交易几乎停滞的情况。", ""))
    async with (
        funasr_server(words) as asr,
        chat_server(says("市场", "有时会这样，", "别太担心。")) as llm,
        edge_server(tmp_path, 403) as voice,
    ):
        text = PROFILE.format(asr=asr.url, llm=llm.url)
        wanted = profile(tmp_path, text + "voice: {engine: espeak, voice: cmn}\n")
        edge = EdgeTts(EdgeOptions.model_validate({}), voice.connector)
        online = Mouth("edge", edge, Voice("zh-CN-XiaoxiaoNeural"))

        def falling_back(stages: Stages) -> Stages:
            return replace(stages, mouths=(online, *stages.mouths))

        async with calling(tmp_path, wanted, falling_back, pace=0.01) as running:
            await running.page.wait_for(ReplyEnd)
            running.line.say(clip(speech, "dev/zh/aishell_BAC009S0764W0121.flac"))
            running.line.say(silence(3 * SAMPLE_RATE))
            end = await running.page.wait_for(ReplyEnd, 2)
        [record] = await running.recorded(1)
    assert end.heard == "市场有时会这样，别太担心。"
    [fell] = record.fallbacks
    assert fell.endswith("the voice 'espeak' goes on.")


async def test_a_server_that_is_not_there_refuses_the_call_with_a_sentence(
    tmp_path: Path,
) -> None:
    text = PROFILE.format(asr="ws://127.0.0.1:9/", llm="http://127.0.0.1:9/v1")
    async with open_engines(ModelStore(tmp_path)) as engines:
        with pytest.raises(Transient, match=r"no FunASR server answers at ws://127\.0\.0\.1:9/"):
            await engines.stages(profile(tmp_path, text))


@pytest.mark.parametrize("document", ["funasr.md", "speakers.md"])
def test_every_character_of_the_documentation_can_be_read(
    tmp_path: Path, document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PYTHON, sys.executable)
    root = Path(__file__).resolve().parents[2]
    text = (root / "docs" / document).read_text("utf-8")
    examples = re.findall(r"```yaml\n(extends: .*?)```", text, re.DOTALL)
    assert examples
    for example in examples:
        loaded = profile(tmp_path, example)
        for section in loaded.KINDS:
            if loaded.choice(section) is not None:
                loaded.chosen(section)


@pytest.mark.timeout(300)  # importing FunASR alone takes 10 to 40 s
async def test_a_call_over_webrtc_goes_through_funasrs_own_two_models(
    tmp_path: Path, tiny: Path, speech: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profiles = tmp_path / "profiles"
    profiles.mkdir()
    (profiles / "xiao.yaml").write_text(
        f"""\
extends: bare
language: zh-CN
greeting: ""
asr: {{engine: funasr, streaming: {tiny}/streaming, offline: {tiny}/offline,
  punctuation: {tiny}/punctuation}}
""",
        encoding="utf-8",
    )
    variables = {"FIRSTWORD_PROFILES": str(profiles)}
    variables |= {} if PYTHON in os.environ else {PYTHON: sys.executable}
    said = speech / "dev/zh/aishell_BAC009S0764W0121.flac"
    async with served(tmp_path, "xiao", **variables) as (url, _):
        assert await call.place(url, [said], as_json=True) == 0
    [turn] = json.loads(capsys.readouterr().out)["turns"]
    assert turn["final"]
    assert turn["timeline"]["stages"]["asr"] == "funasr"
