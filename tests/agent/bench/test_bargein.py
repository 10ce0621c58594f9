"""Sounds over a reply: what the bench makes of coughs, of speech, and of the reply's own echo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agent.__main__ import main
from agent.bench import bargein, echoes
from agent.bench.overtalk import Outcome, Overtalk, Sound, first_speech
from agent.engines import open_engines
from agent.errors import NotPossible
from agent.profile import load
from stages.audio import silence
from stages.events import SAMPLE_RATE
from stages.models import ModelStore
from tests.agent.calling import tone
from tests.stages.clips import clip


def outcome(group: str, hold_ms: float | None, ended_ms: float | None) -> Outcome:
    held = int(hold_ms is not None)
    return Outcome("one", group, held, 100.0 * held, hold_ms, ended_ms, "")


def test_figures_tell_held_from_ended() -> None:
    some = [outcome("cough", 60, None), outcome("cough", None, None), outcome("speech", 80, 600)]
    figures = bargein.summary(some)
    assert (figures["cough"]["sounds"], figures["cough"]["held"], figures["cough"]["ended"]) == (
        2, 1, 0
    )  # fmt: skip
    assert figures["speech"]["silent_ms"]["p50"] == 80
    assert figures["speech"]["ended_ms"]["p50"] == 600


def test_rooms_are_counted_by_level() -> None:
    calm, upset = outcome("nobody", None, None), outcome("nobody", 50, 900)
    early = outcome("talk", 50, -100)
    rooms = [
        echoes.InRoom("hall", 30, -6, guarded, alone, early)
        for guarded, alone in ((True, calm), (False, upset))
    ]
    off, on = echoes.by_level(rooms)
    assert (off["guard"], off["ended_itself"], off["talk_ended_early"]) == (False, 1, 1)
    assert (on["guard"], on["ended_itself"], on["holds"]) == (True, 0, 0)


@pytest.mark.model
@pytest.mark.speech
@pytest.mark.timeout(60)
async def test_the_guard_takes_nothing_from_people_in_a_call_without_an_echo(
    speech: Path, store: ModelStore
) -> None:
    names = ("g_audio2", "ps_goforward", "in_sample2", "az_weather", "ps_numbers", "g_two_channel")
    voices = [clip(speech, f"dev/en_assistant/{name}.flac")[: 3 * SAMPLE_RATE] for name in names]
    async with open_engines(store) as engines:
        profile = load("default")
        stages, settings = await engines.stages(profile), profile.turn.settings
        sounds = [Sound("one", "speech", voice, 0) for voice in voices]
        guarded = await echoes.without_echo(stages, settings, sounds)
        alone = await bargein.over(stages, settings, sounds)
    assert [one.hold_ms for one in guarded] == [one.hold_ms for one in alone]
    assert all(one.ended_ms is not None for one in guarded)


@pytest.mark.model
@pytest.mark.speech
@pytest.mark.timeout(180)
async def test_a_real_voice_in_real_rooms_does_not_interrupt_itself_and_a_person_does(
    speech: Path, store: ModelStore
) -> None:
    async with open_engines(store) as engines:
        profile = load("default")
        rooms = await echoes.in_rooms(
            await engines.stages(profile),
            profile.turn.settings,
            speech / "dev",
            levels=(-30.0, -12.0),
            delays=(100.0,),
        )

    guarded = [one for one in rooms if one.guarded]
    assert len(guarded) == 2 * len(echoes.ROOMS)
    for one in guarded:
        assert one.alone.ended_ms is None, one
        assert one.talked_over.ended_ms is not None, one
        assert one.talked_over.ended_ms > 0, one
    without, within = (
        sum(one.alone.held_ms for one in rooms if one.guarded == guard) for guard in (False, True)
    )
    assert within < without / 4


def test_a_folder_without_recordings_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotPossible, match="it has no manifest"):
        bargein.read(tmp_path)


async def test_a_loud_caller_without_words_ends_a_reply(tmp_path: Path) -> None:
    sound = Sound("tone", "speech", np.concatenate([silence(SAMPLE_RATE), tone(1.0)]), SAMPLE_RATE)
    async with open_engines(ModelStore(tmp_path)) as engines:
        profile = load("bare")
        stages = await engines.stages(profile)
        assert await first_speech(stages, sound.samples) == pytest.approx(SAMPLE_RATE, abs=200)
        told = await Overtalk(stages, profile.turn.settings, sound).run()
    assert told.held == 1
    assert told.hold_ms is not None
    assert 0 <= told.hold_ms <= 64
    assert told.ended_ms is not None
    assert told.ended_ms > told.hold_ms


@pytest.mark.model
@pytest.mark.speech
@pytest.mark.timeout(60)
async def test_a_cough_holds_a_reply_and_a_question_ends_it(
    speech: Path, store: ModelStore
) -> None:
    async with open_engines(store) as engines:
        profile = load("default")
        stages = await engines.stages(profile)
        told = {
            name: await Overtalk(
                stages, profile.turn.settings, Sound(name, "", clip(speech, f"dev/{name}.flac"))
            ).run()
            for name in ("noise/elt_cough_04", "noise/elt_cough_02", "en_assistant/g_brooklyn")
        }
    question = told.pop("en_assistant/g_brooklyn")
    assert question.ended_ms is not None
    assert all(one.ended_ms is None for one in told.values())


@pytest.mark.speech
@pytest.mark.timeout(120)
def test_the_command_prints_figures_for_programs(
    speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (speech / "dev" / "manifest.jsonl").read_text("utf-8").splitlines()
    few = [line for line in lines if "elt_cough_01" in line or "g_quit" in line]
    (tmp_path / "dev").symlink_to(speech / "dev")
    folder = tmp_path / "few"
    folder.mkdir()
    (folder / "manifest.jsonl").write_text("\n".join(few), encoding="utf-8")
    with pytest.raises(SystemExit, match="0"):
        main(["bench", "bargein", "--speech", str(folder), "--profile", "bare", "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert set(figures["groups"]) == {"cough or sniff", "speech"}
    assert len(figures["sounds"]) == 2
