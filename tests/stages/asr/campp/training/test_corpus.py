from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs SciPy: pip install 'firstword[train]'")

from stages.asr.campp.training import config, corpus
from stages.asr.campp.training.manifest import BadInput
from stages.asr.campp.training.plan import Plan, fits
from tests.stages.asr.campp.training.tones import lesson, silent, songbook


@pytest.fixture
def songs(tmp_path: Path) -> Path:
    songbook(tmp_path / "songs", 40)
    return tmp_path


def test_frames_are_made_once_and_found_again(songs: Path) -> None:
    told: list[str] = []
    made = corpus.prepare(lesson(songs), songs, songs / "work", told.append)
    again = corpus.prepare(lesson(songs), songs, songs / "work", told.append)

    assert told == ["tones: frames of 40 clips, 1 copies each"]
    assert [item.key for item in made.items] == [item.key for item in again.items]
    for one, other in zip(made.items, again.items, strict=True):
        assert np.array_equal(made.frames(one), again.frames(other))


def test_other_changes_make_other_frames(songs: Path) -> None:
    told: list[str] = []
    corpus.prepare(lesson(songs), songs, songs / "work", told.append)
    corpus.prepare(lesson(songs, augment={"noisy": 1}), songs, songs / "work", told.append)

    assert len(told) == 2


def test_what_is_held_back_is_heard_once_and_unchanged(songs: Path) -> None:
    source = {"name": "tones", "manifest": "{data}/songs/manifest.jsonl", "copies": 3}
    found = lesson(songs, sources=[{**source, "hold_share": 0.2}])
    made = corpus.prepare(found, songs, songs / "work", silent)

    held = [item.key for item in made.items if item.held]
    trained = [item.key for item in made.items if not item.held]
    assert held
    assert len(set(held)) == len(held)
    assert not set(held) & set(trained)
    assert len(trained) == 3 * len(set(trained))


def test_a_clip_that_is_no_sound_stops_everything_and_leaves_nothing_half_made(
    songs: Path,
) -> None:
    (songs / "songs" / "7.wav").write_bytes(b"hello")

    with pytest.raises(BadInput, match=r"7\.wav cannot be used"):
        corpus.prepare(lesson(songs), songs, songs / "work", silent)
    assert not list((songs / "work" / "frames").glob("*"))


def test_all_manifests_are_read_before_any_frame_is_made(songs: Path) -> None:
    sources = [
        {"name": "tones", "manifest": "{data}/songs/manifest.jsonl"},
        {"name": "gone", "manifest": "{data}/gone/manifest.jsonl"},
        {"name": "lost", "manifest": "{work}/lost/manifest.jsonl"},
    ]

    with pytest.raises(BadInput, match="2 faults"):
        corpus.prepare(lesson(songs, sources=sources), songs, songs / "work", silent)
    assert not (songs / "work").exists()


def test_batches_are_the_same_for_the_same_seed_wherever_one_begins(songs: Path) -> None:
    made = corpus.prepare(lesson(songs), songs, songs / "work", silent)
    forward = Plan(made.items, lesson(songs))
    in_order = [forward.at(step) for step in range(20)]

    assert Plan(made.items, lesson(songs)).at(13) == in_order[13]


def test_a_batch_holds_clips_of_like_length_and_no_more_sound_than_it_may(songs: Path) -> None:
    found = lesson(songs)
    made = corpus.prepare(found, songs, songs / "work", silent)
    plan = Plan(made.items, found)

    for step in range(12):
        frames = [made.items[place].frames for place in plan.at(step)]
        assert max(frames) * len(frames) <= found.steps.seconds * 100


def test_weights_decide_how_often_a_source_is_heard(songs: Path) -> None:
    songbook(songs / "more", 40, seed=9)
    sources = [
        {"name": "tones", "manifest": "{data}/songs/manifest.jsonl", "weight": 3, "hold_share": 0},
        {"name": "more", "manifest": "{data}/more/manifest.jsonl", "weight": 0.5, "hold_share": 0},
    ]
    found = lesson(songs, sources=sources)
    made = corpus.prepare(found, songs, songs / "work", silent)
    plan = Plan(made.items, found)
    heard = [made.items[p].source for step in range(60) for p in plan.at(step)]

    assert heard.count("tones") / heard.count("more") == pytest.approx(6, rel=0.3)


def test_a_clip_too_short_for_its_text_is_left_out(songs: Path) -> None:
    found = lesson(songs)
    made = corpus.prepare(found, songs, songs / "work", silent)
    geometry = found.network.geometry()
    item = made.items[0]
    wordy = corpus.Item(item.start, item.frames, item.tokens * 40, "tones", "0", held=False)

    assert fits(item, geometry)
    assert not fits(wordy, geometry)
    assert Plan([*made.items, wordy], found).left_out == 1


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"sedd": 3}, "sedd: Extra inputs are not permitted"),
        ({"keep": {"minutes": 0}}, "keep.minutes: Input should be greater than 0"),
        ({"sources": []}, "sources: Tuple should have at least 1 item"),
        (
            {"sources": [{"name": "a", "manifest": "{date}/m.jsonl"}]},
            "sources.0.manifest: Value error, {date} is no folder; {data} and {work} are",
        ),
        (
            {"sources": [{"name": "a", "manifest": "{data}/m.jsonl"}] * 2},
            "sources: Value error, several have the name 'a'",
        ),
        ({"network": {"width": 30, "heads": 4}}, "width 30 cannot be divided among 4 heads"),
    ],
)
def test_a_configuration_with_a_fault_is_refused_with_its_place(
    tmp_path: Path, changed: dict[str, Any], fault: str
) -> None:
    with pytest.raises(BadInput) as caught:
        lesson(tmp_path, **changed)

    assert fault in str(caught.value)


def test_the_configuration_that_comes_with_firstword_can_be_read() -> None:
    from stages.asr.campp.article.forge import shipped

    found = config.read(shipped("en-small.yaml"))

    assert {source.name for source in found.sources} >= {"so", "ls", "lj"}
