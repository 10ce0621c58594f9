"""The curve of endpoints: cases with known ends, ways to take turns, and what is drawn of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from agent.bench.curve import Curve, Point, drawn
from agent.bench.endpoint import Row, Way, beyond, measure, ways, ways_of_calls
from agent.bench.pauses import TURNS_OF_A_CALL, Taken, entries
from agent.errors import NotPossible
from agent.profile import Profile
from agent.webrtc import sound
from stages.audio import samples_in, silence
from stages.events import SAMPLE_RATE, Samples

BARE = Profile.model_validate(
    {
        "id": "bare",
        "language": "en",
        "vad": {"engine": "energy"},
        "turn": {"engine": "silence"},
        "asr": {"engine": "scripted", "lines": ["turn on the lamp"], "delay_ms": 0},
        "llm": {"engine": "echo"},
        "voice": {"engine": "tone"},
    }
)


def tone(milliseconds: float) -> Samples:
    at = np.arange(samples_in(milliseconds)) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * 200 * at)).astype(np.float32)


def recordings(folder: Path, *sounds: Samples, speaker: str | None = None) -> Path:
    """Write a folder as the bench wants it: a manifest, and paths from the folder above."""
    dev = folder / "dev"
    dev.mkdir()
    lines, entry = [], {"set": "en_assistant", "speaker": speaker}
    for number, samples in enumerate(sounds):
        name = f"a_{number}.wav"
        sound.write(dev / name, [(samples * 32_767).astype(np.int16)], SAMPLE_RATE)
        lines.append(json.dumps(entry | {"path": f"dev/{name}"}))
    (dev / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return dev


async def rows(folder: Path, kept: Path | None = None) -> dict[tuple[str, str, str], Row]:
    return {
        (row.family, row.name, row.group): row for row in await measure(BARE, folder, kept)
    }


async def test_a_timer_cuts_into_a_pause_that_is_longer_and_waits_as_long_at_the_end(
    tmp_path: Path,
) -> None:
    halting = np.concatenate([tone(600), silence(samples_in(700)), tone(600)])
    found = await rows(recordings(tmp_path, halting))
    short = found["timer", "400 ms", "en_assistant"]
    long = found["timer", "1000 ms", "en_assistant"]
    assert (short.cut_in_percent, long.cut_in_percent) == (100, 0)
    assert short.p50_ms == pytest.approx(400, abs=60)
    assert long.p50_ms == pytest.approx(1000, abs=60)


async def test_a_silence_of_two_seconds_ends_a_turn_whoever_listens(tmp_path: Path) -> None:
    twice = np.concatenate([tone(600), silence(samples_in(2_500)), tone(600)])
    found = await rows(recordings(tmp_path, twice))
    assert found["timer", "1500 ms", "en_assistant"].cases == 2
    assert found["timer", "1500 ms", "en_assistant"].cut_in_percent == 0


async def test_what_the_models_said_is_kept_for_the_next_run(tmp_path: Path) -> None:
    folder, kept = recordings(tmp_path, tone(600)), tmp_path / "kept.json"
    first = await rows(folder, kept)
    assert json.loads(kept.read_text(encoding="utf-8"))
    assert await rows(folder, kept) == first


async def test_some_recordings_of_some_sets_are_taken(tmp_path: Path) -> None:
    folder = recordings(tmp_path, tone(600), tone(800), tone(700))

    async def all_cases(taken: Taken) -> set[int]:
        found = await measure(BARE, folder, None, taken)
        return {row.cases for row in found if row.group == "all"}

    assert await all_cases(Taken(("en_assistant",), every=2)) == {3}  # one pair of them joined


async def test_a_speaker_who_was_cut_into_is_waited_for_in_the_turns_that_follow(
    tmp_path: Path,
) -> None:
    halting = np.concatenate([tone(600), silence(samples_in(450)), tone(600)])
    folder = recordings(tmp_path, *[halting] * TURNS_OF_A_CALL, speaker="Anna")
    measured = await measure(BARE, folder, None, Taken(("en_assistant",), calls=True))
    found = {(row.family, row.name): row for row in measured if row.group == "all"}
    assert {row.cases for row in found.values()} == {TURNS_OF_A_CALL}  # nothing put in or joined
    assert found["ours", "balanced"].cut_in_percent == 100
    twice = pytest.approx(200 / TURNS_OF_A_CALL, abs=0.1)
    assert found["ours, learning", "balanced"].cut_in_percent == twice


def test_who_said_too_little_makes_no_call(tmp_path: Path) -> None:
    folder = recordings(tmp_path, tone(600), tone(800), speaker="Anna")
    with pytest.raises(NotPossible, match="Nobody in it is known to have said 6 things or more"):
        entries(folder, Taken(("en_assistant",), calls=True))


def test_a_set_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    folder = recordings(tmp_path, tone(600))
    with pytest.raises(NotPossible, match=r"has no zh; --sets may be: en_assistant\.$"):
        entries(folder, Taken(("zh",)))
    with pytest.raises(NotPossible, match=r"say where it is with --speech\.$"):
        entries(tmp_path, Taken())


async def test_a_cut_in_is_heard_unless_the_caller_goes_on_at_once(tmp_path: Path) -> None:
    halting = np.concatenate([tone(600), silence(samples_in(700)), tone(600)])
    found = await rows(recordings(tmp_path, halting))
    early = found["timer", "400 ms", "en_assistant"]
    assert (early.cut_in_percent, early.cut_in_heard_percent) == (100, 100)
    never = found["timer", "1000 ms", "en_assistant"]
    assert never.cut_in_heard_percent == 0


def row(family: str, name: str, *measures: float, group: str = "all") -> Row:
    cut, p50, mean, p95 = measures
    return Row(family, name, group, 100, cut, cut, p50, p95, mean, 0, 0.0, 0.0)


def test_what_is_beyond_a_rival_is_no_worse_in_anything_and_better_in_something() -> None:
    rival = row("timer", "500 ms", 40, 512, 530, 680)
    equal = row("ours", "as good", 40, 512, 530, 680)
    later = row("ours", "sooner in all but the last", 39, 300, 400, 690)
    cuts = row("ours", "cuts in", 41, 300, 400, 600)
    good = row("ours", "good", 40, 512, 520, 680)
    best = row("ours, wide", "best", 39, 500, 510, 680)
    elsewhere = row("ours", "elsewhere", 1, 100, 100, 100, group="en_fillers")
    assert beyond(rival, [rival, equal, later, cuts, elsewhere]) is None
    assert beyond(rival, [rival, equal, good, best]) == best


def test_a_rival_is_beyond_nothing() -> None:
    slow, fast = row("timer", "1 s", 40, 1000, 1000, 1000), row("timer", "s", 30, 1, 1, 1)
    assert beyond(slow, [slow, fast]) is None


@pytest.mark.parametrize("all_ways", [ways, ways_of_calls])
def test_every_way_has_a_name_of_its_own(all_ways: Callable[[], list[Way]]) -> None:
    named = [(way.family, way.name) for way in all_ways()]
    assert len(set(named)) == len(named)
    assert {"quick", "balanced", "patient"} <= {way.name for way in all_ways()}


def test_the_picture_is_whole_and_names_every_point() -> None:
    points = [Point("200 ms", 60.0, 210, 240, 400), Point("1 s", 5, 1e3, 1e3, 1e3)]
    curve = Curve("timer <fixed>", points)
    picture = ElementTree.fromstring(drawn([curve], "A & B"))
    titles = [one.text or "" for one in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 6  # three panels
    assert "timer <fixed> 200 ms: 60.0 %, 210 ms" in titles


def test_a_picture_of_nothing_is_still_a_picture() -> None:
    assert ElementTree.fromstring(drawn([Curve("none", [])], ""))
