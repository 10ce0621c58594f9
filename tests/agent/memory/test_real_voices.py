"""Two calls of human voices to a server that was restarted in between, over the real wire."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
import yaml
from aiohttp import web

from agent.caller import Manners, TurnResult, place
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


@dataclass(frozen=True)
class Story:
    """What became of two calls."""

    said: str  # by Anna, in the first
    turns: tuple[TurnResult, ...]  # of the second
    before: list[dict[str, Any]]  # what the model was asked in the first
    asked: list[dict[str, Any]]  # and in the second
    published: list[str]  # while it lasted

    def of(self, turn: TurnResult) -> list[dict[str, Any]]:
        """Return the requests that a turn's words were answered by."""
        found = [one for one in self.asked if one["messages"][-1]["content"] == turn.final]
        assert found, turn.failure
        return found


async def two_calls(speech: Path, folder: Path, state: Path) -> Story:
    """Have Anna call, start the server anew, and have a stranger, Anna and Bo call together."""

    async def mind(request: web.Request) -> web.StreamResponse:
        return await says("All right.")(request)

    names = ("FIRSTWORD_PROFILES", "FIRSTWORD_MQTT_USER", "FIRSTWORD_MQTT_PASSWORD")
    variables = dict(zip(names, (str(folder), *AGENT), strict=True))
    variables["FIRSTWORD_STATE"] = str(state)
    async with chat_server(mind) as llm, mosquitto(folder) as broker, follower(broker) as home:
        profile = PROFILE | {"llm": {"base_url": llm.url, "model": "m"}}
        (folder / "memo.yaml").write_text(yaml.safe_dump(profile))
        arguments = ("--mqtt", broker.url, "--mqtt-name", "kitchen", "--mqtt-content", "partials")
        async with served(folder, "memo", *arguments, **variables) as (url, _):
            first = await place(url, [file(speech, BY_ANNA)], manners=PATIENT)
        asked, published = len(llm.asked), len(home.all)
        async with served(folder, "memo", *arguments, **variables) as (url, _):
            files = [file(speech, name) for name in (BY_A_STRANGER, ANNA_AGAIN, BY_BO)]
            second = await place(url, files, manners=PATIENT)
        [turn] = first.turns
        assert len(turn.final) > 10, turn.failure
        came = [payload for _, payload in home.all[published:]]
        return Story(turn.final, second.turns, llm.asked[:asked], llm.asked[asked:], came)


async def test_a_known_voice_goes_on_where_it_was_and_no_other_voice_learns_of_it(
    speech: Path, store: ModelStore, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    await enrol(speech, store, state)
    story = await two_calls(speech, tmp_path, state)
    stranger, anna, bo = story.turns
    assert all("Notes of earlier" not in told(request) for request in story.before)
    for request in story.of(anna):
        [notes] = [one for one in request["messages"] if "Notes of earlier" in one["content"]]
        assert notes["role"] == "user"
        assert quoted(story.said) in notes["content"], "what she said in the call before"
    for request in story.of(stranger) + story.of(bo):
        assert story.said not in told(request), "nobody else's turn learns of it"
    assert "Anna" not in json.dumps(story.before + story.asked), "no model is told a name"
    assert not [payload for payload in story.published if story.said in payload], "and no broker"

    remembered = {one.name: one for one in await anyio.to_thread.run_sync(MemoryBook(state).all)}
    assert set(remembered) == {"Anna", "Bo"}
    assert [one.caller for one in remembered["Anna"].turns] == [story.said, anna.final]
    assert [one.reply for one in remembered["Anna"].turns] == ["All right.", "All right."]
    assert [one.caller for one in remembered["Bo"].turns] == [bo.final]
    assert stranger.final not in str(remembered)
