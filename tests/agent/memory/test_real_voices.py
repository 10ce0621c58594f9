"""Two calls of human voices to a server that was restarted in between, over the real wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from aiohttp import web

from agent.caller import Manners, place
from agent.memory.block import quoted
from agent.memory.store import MemoryBook
from agent.speakers import Clip, SpeakerBook, print_of
from stages import registry
from stages.models import ModelStore
from tests.agent.mqtt.following import follower
from tests.servers.chat import chat_server, says
from tests.servers.mosquitto import AGENT, mosquitto
from tests.stages.clips import clip
from tests.web.serving import served

pytestmark = [pytest.mark.model, pytest.mark.speech, pytest.mark.timeout(240)]

KNOWN = {
    "Anna": ("pr_1", "pr_3"),
    "Bo": ("pve_speaker_1_utt_1", "pve_speaker_1_utt_2"),
}
PATIENT = Manners(settle=0.2, deadline=45.0)
BY_ANNA, ANNA_AGAIN = "pr_2", "pr_4"
BY_BO, BY_A_STRANGER = "pve_speaker_1_test_utt", "pve_speaker_2_test_utt"
PROFILE = {
    "extends": "default",
    "name": "Robin",
    "greeting": "",
    "turn": {"engine": "smart_turn", "preset": "patient"},
    "voice": {"engine": "tone"},
    "speakers": {"engine": "voicefilter"},
    "memory": {"keep": True},
}


def file(speech: Path, name: str) -> Path:
    return speech / "dev" / "sv" / f"{name}.flac"


async def enrol(speech: Path, store: ModelStore, state: Path) -> None:
    plugin = registry.find("speaker", "voicefilter")
    async with plugin.open(plugin.options(), store) as stage:
        for name, clips in KNOWN.items():
            heard = [Clip(one, clip(speech, f"dev/sv/{one}.flac")) for one in clips]
            made = await print_of(stage, name, heard)
            await anyio.to_thread.run_sync(SpeakerBook(state).put, made)


def told(request: dict[str, Any]) -> str:
    return json.dumps(request["messages"], ensure_ascii=False)


async def test_a_known_voice_goes_on_where_it_was_and_no_other_voice_learns_of_it(
    speech: Path, store: ModelStore, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    await enrol(speech, store, state)

    async def mind(request: web.Request) -> web.StreamResponse:
        return await says("All right.")(request)

    names = ("FIRSTWORD_PROFILES", "FIRSTWORD_MQTT_USER", "FIRSTWORD_MQTT_PASSWORD")
    variables = dict(zip(names, (str(tmp_path), *AGENT), strict=True))
    variables["FIRSTWORD_STATE"] = str(state)
    async with chat_server(mind) as llm, mosquitto(tmp_path) as broker, follower(broker) as home:
        profile = PROFILE | {"llm": {"base_url": llm.url, "model": "m"}}
        (tmp_path / "memo.yaml").write_text(yaml.safe_dump(profile))
        arguments = ("--mqtt", broker.url, "--mqtt-name", "kitchen", "--mqtt-content", "partials")

        async with served(tmp_path, "memo", *arguments, **variables) as (url, _):
            first = await place(url, [file(speech, BY_ANNA)], manners=PATIENT)
        said = first.turns[0].final
        assert len(said) > 10, first.turns[0].failure
        asked_before, told_before = len(llm.asked), len(home.all)

        async with served(tmp_path, "memo", *arguments, **variables) as (url, _):
            files = [file(speech, name) for name in (BY_A_STRANGER, ANNA_AGAIN, BY_BO)]
            second = await place(url, files, manners=PATIENT)

    by_stranger, by_anna, by_bo = (turn.final for turn in second.turns)
    requests = llm.asked[asked_before:]
    for request in llm.asked[:asked_before]:
        assert "Notes of earlier" not in told(request), "nothing was known yet"

    def of(final: str) -> list[dict[str, Any]]:
        return [one for one in requests if one["messages"][-1]["content"] == final]

    assert of(by_stranger)
    assert of(by_anna)
    assert of(by_bo)
    for request in of(by_anna):
        [notes] = [one for one in request["messages"] if "Notes of earlier" in one["content"]]
        assert notes["role"] == "user"
        assert quoted(said) in notes["content"], "what she said in the call before"
    for request in of(by_stranger) + of(by_bo):
        assert said not in told(request), "nobody else's turn learns of it"
    assert "Anna" not in json.dumps(llm.asked), "no model is told a name"
    leaks = [payload for _, payload in home.all[told_before:] if said in payload]
    assert leaks == [], "and no broker"

    remembered = {one.name: one for one in await anyio.to_thread.run_sync(MemoryBook(state).all)}
    assert set(remembered) == {"Anna", "Bo"}
    assert [one.caller for one in remembered["Anna"].turns] == [said, by_anna]
    assert [one.reply for one in remembered["Anna"].turns] == ["All right.", "All right."]
    assert [one.caller for one in remembered["Bo"].turns] == [by_bo]
    assert by_stranger not in str(remembered)
