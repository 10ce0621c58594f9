"""Turns to take: human recordings with what is known of them, padded, stretched and joined.

A case is what one caller says in one turn: its pauses are inner ones, its end is the end of the
turn. Where the end lies is found without the machinery under test: the last 10 ms that are loud
for the recording, where the VAD, listening to the whole recording, is sure of speech.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.errors import NotPossible
from agent.webrtc import sound
from stages.audio import samples_in
from stages.events import SAMPLE_RATE, Samples

LONGEST_PAUSE_MS = 2_000
"""A longer silence ends the turn, whoever listens: the recording is two cases then."""
STRETCHES_MS = (300, 500, 700, 900)
"""Pauses put into the middle of a sentence, one after the other."""
JOINS_MS = (400, 600, 800)
"""Pauses put between two sentences of one caller."""
SHORTEST_STRETCHED_MS = 1_200
BEFORE_MS, AFTER_MS = 500, 4_000
LOUD_DB, ABOVE_FLOOR_DB = 40.0, 10.0
"""Speech is no further below the loudest 10 ms than the first, and so far above the quietest."""
NEAR_MS = 80
"""A loud place is speech where the VAD, which is late, is sure no further away than this."""
TURNS_OF_A_CALL = 6
"""Who said less is not worth a call: there is nothing to learn from them."""
SETS = ("en_assistant", "en_fillers", "en_convo")
UNASKED = frozenset({"en_fillers", "en_convo"})
"""Sets that are no requests: nothing is put into them or behind them."""
_STEP = samples_in(10)
_UNFIT = ("whisper",)
"""Recordings of which neither the ear of the VAD nor the level tells where speech ends."""

Sure = Callable[[Samples], Awaitable[npt.NDArray[np.bool_]]]
"""Tells for each sample whether a VAD is sure of speech there."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Which recordings are taken: those of some sets, every so-manieth of them."""

    sets: tuple[str, ...] = SETS
    every: int = 1
    calls: bool = False  # all that a known speaker said is one call; every so-manieth speaker


EVERYTHING = Taken()


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One turn of one caller: its sound, and the position after its last speech."""

    name: str
    group: str
    samples: Samples
    end: int
    caller: str = ""  # whose call it is a turn of, in the order of the cases; else it is one alone


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A recording, and where it is speech."""

    name: str
    group: str
    samples: Samples
    speech: npt.NDArray[np.bool_]  # for each 10 ms
    caller: str = ""  # whose call it is a turn of, if any

    @property
    def bounds(self) -> tuple[int, int]:
        """Positions of its first speech and after its last."""
        places = np.flatnonzero(self.speech)
        return int(places[0]) * _STEP, (int(places[-1]) + 1) * _STEP

    @property
    def floor(self) -> float:
        """Amplitude (RMS) of its background."""
        return float(10 ** (np.quantile(_levels(self.samples), 0.1) / 20))


async def cases(folder: Path, sure: Sure, taken: Taken = EVERYTHING) -> list[Case]:
    """Return all cases that a folder of recordings with a ``manifest.jsonl`` gives.

    Raises:
        NotPossible: there are none of these sets in it.
    """
    chosen = entries(folder, taken)
    recordings = [one for entry in chosen async for one in _recordings(folder, entry, sure)]
    whole = [_padded(one) for one in recordings]
    if taken.calls:
        return whole
    asked = [one for one in recordings if one.group not in UNASKED]
    return [*whole, *_stretched(asked), *_joined(asked)]


async def bounds(file: Path, sure: Sure) -> tuple[float, float] | None:
    """Return where a recording's speech begins and ends, in seconds; none: there is none.

    It is found in the whole recording, by a VAD and by level, without the machinery under test.
    """
    samples = sound.read(file, SAMPLE_RATE)
    places = np.flatnonzero(_speech(samples, await sure(samples)))
    if not len(places):
        return None
    return float(places[0]) / 100, float(places[-1] + 1) / 100


def entries(folder: Path, taken: Taken) -> list[dict[str, Any]]:
    """Return what the manifest of a folder says of the recordings that are taken.

    Raises:
        NotPossible: there are no recordings where they should be, none of these sets, or nobody
            who said enough for a call.
    """
    manifest = folder / "manifest.jsonl"
    if not manifest.is_file():
        raise NotPossible(f"There is no manifest.jsonl in {folder}; say where it is with --speech.")
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if line["set"] in taken.sets]
    if not found:
        known = ", ".join(sorted({line["set"] for line in lines}))
        raise NotPossible(f"{manifest} has no {' or '.join(taken.sets)}; --sets may be: {known}.")
    return _speakers(found, taken.every) if taken.calls else found[:: taken.every]


def _speakers(found: Sequence[dict[str, Any]], every: int) -> list[dict[str, Any]]:
    """Return what every so-manieth speaker said, with their name as that of the caller."""
    names = Counter(one.get("speaker") for one in found)
    talkers = [name for name, count in names.items() if name and count >= TURNS_OF_A_CALL]
    chosen = set(talkers[::every])
    if not chosen:
        raise NotPossible(f"Nobody in it is known to have said {TURNS_OF_A_CALL} things or more.")
    return [one | {"caller": one["speaker"]} for one in found if one.get("speaker") in chosen]


# --- recordings -----------------------------------------------------------------------------


async def _recordings(folder: Path, entry: dict[str, Any], sure: Sure) -> AsyncIterator[Recording]:
    """Give what one caller says in one turn, once or more often in a recording."""
    group, name = entry["set"], Path(entry["path"]).stem
    file = folder.parent / entry["path"]
    if any(unfit in name for unfit in _UNFIT):
        return
    segments = entry.get("segments") or []
    if group == "en_convo" and not segments:
        return  # nobody says who speaks when
    samples = sound.read(file, SAMPLE_RATE)
    pieces = [samples] if not segments else [samples[a:b] for a, b in _alone(segments)]
    for number, piece in enumerate(pieces):
        label = f"{name}-{number}" if segments else name
        speech = _speech(piece, await sure(piece))
        if speech.any():
            one = Recording(label, group, piece, speech, entry.get("caller", ""))
            for turn in _turns(one):
                yield turn


def _alone(segments: Sequence[Sequence[Any]]) -> Iterator[tuple[int, int]]:
    """Give the stretches in which one speaker says a second or more and nobody else a word."""
    margin = 0.15
    for start, end, who in _merged(segments):
        others = [one for one in segments if one[2] != who]
        free = all(b <= start - margin or a >= end + margin for a, b, _ in others)
        if free and end - start >= 1.0:
            yield (
                max(0, round((start - margin) * SAMPLE_RATE)),
                round((end + margin) * SAMPLE_RATE),
            )


def _merged(segments: Sequence[Sequence[Any]]) -> list[tuple[float, float, str]]:
    """Return each speaker's segments, those that lie less than the longest pause apart as one."""
    merged: dict[str, list[tuple[float, float, str]]] = {}
    for start, end, who in segments:
        mine = merged.setdefault(who, [])
        if mine and start - mine[-1][1] < LONGEST_PAUSE_MS / 1000:
            mine[-1] = (mine[-1][0], end, who)
        else:
            mine.append((start, end, who))
    return [one for mine in merged.values() for one in mine]


def _speech(samples: Samples, sure: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell for each 10 ms whether it is speech."""
    levels = _levels(samples)
    loudest, floor = levels.max(initial=-120.0), np.quantile(levels, 0.1)
    loud = (levels > loudest - LOUD_DB) & (levels > min(floor + ABOVE_FLOOR_DB, loudest - 12))
    near = np.ones(2 * NEAR_MS // 10 + 1, dtype=np.int64)
    voiced = sure[: len(levels) * _STEP].reshape(-1, _STEP).any(axis=1)
    speech: npt.NDArray[np.bool_] = loud & (np.convolve(voiced, near, mode="same") > 0)
    return speech


def _levels(samples: Samples) -> npt.NDArray[np.float64]:
    """Return the level of each 10 ms, in dBFS."""
    whole = samples[: len(samples) - len(samples) % _STEP].astype(np.float64)
    power = np.square(whole).reshape(-1, _STEP).mean(axis=1)
    levels: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(power, 1e-12))
    return levels


def _turns(recording: Recording) -> Iterator[Recording]:
    """Cut a recording where its pauses are too long for one turn."""
    places = np.flatnonzero(recording.speech)
    gaps = np.flatnonzero(np.diff(places) * 10 >= LONGEST_PAUSE_MS)
    edges = [0, *(int(places[gap] + places[gap + 1]) // 2 for gap in gaps), len(recording.speech)]
    for number, (first, last) in enumerate(pairwise(edges)):
        name = f"{recording.name}+{number}" if len(edges) > 2 else recording.name
        piece = recording.samples[first * _STEP : last * _STEP]
        speech = recording.speech[first:last]
        yield Recording(name, recording.group, piece, speech, recording.caller)


# --- cases ----------------------------------------------------------------------------------


def _padded(one: Recording) -> Case:
    before = samples_in(BEFORE_MS)
    samples = np.concatenate([_background(one, BEFORE_MS), one.samples, _background(one, AFTER_MS)])
    return Case(one.name, one.group, samples, before + one.bounds[1], one.caller)


def _stretched(recordings: Sequence[Recording]) -> Iterator[Case]:
    """Give sentences with a pause put in at the quietest place of their middle."""
    number = 0
    for one in recordings:
        first, last = one.bounds
        if last - first < samples_in(SHORTEST_STRETCHED_MS):
            continue
        pause, number = STRETCHES_MS[number % len(STRETCHES_MS)], number + 1
        at = _quietest(one.samples, first, last)
        yield _put(one, _cut(one, 0, at), pause, _cut(one, at, len(one.samples)), "stretched")


def _joined(recordings: Sequence[Recording]) -> Iterator[Case]:
    """Give pairs of sentences from one source, which mostly is one caller."""
    number = 0
    for one, other in pairwise(recordings):
        first, second = (len(each.samples) / SAMPLE_RATE for each in (one, other))
        if one.name.split("_")[0] != other.name.split("_")[0] or max(first, second) > 8:
            continue
        pause, number = JOINS_MS[number % len(JOINS_MS)], number + 1
        yield _put(one, _cut(one, 0, one.bounds[1]), pause, _cut(other, *_spoken(other)), "joined")


def _spoken(one: Recording) -> tuple[int, int]:
    return one.bounds[0], len(one.samples)


def _cut(one: Recording, first: int, last: int) -> Recording:
    speech = one.speech[first // _STEP : last // _STEP]
    return Recording(one.name, one.group, one.samples[first:last], speech)


def _put(one: Recording, head: Recording, pause: int, tail: Recording, group: str) -> Case:
    quiet = _background(one, pause)
    samples = np.concatenate(
        [_background(one, BEFORE_MS), head.samples, quiet, tail.samples, _background(one, AFTER_MS)]
    )
    end = samples_in(BEFORE_MS) + len(head.samples) + len(quiet) + tail.bounds[1]
    return Case(f"{one.name}|{pause}|{tail.name}", group, samples, end)


def _quietest(samples: Samples, first: int, last: int) -> int:
    """Return the middle of the quietest 60 ms between 30 and 70 % of the speech."""
    begin, end = first + 3 * (last - first) // 10, first + 7 * (last - first) // 10
    levels = _levels(samples[begin:end])
    smooth = np.convolve(10 ** (levels / 10), np.ones(6), mode="valid")
    return (begin // _STEP + int(np.argmin(smooth)) + 3) * _STEP


def _background(one: Recording, milliseconds: int) -> Samples:
    """Return the recording's background: noise of its level, the same in every run."""
    noise = np.random.default_rng(0).standard_normal(samples_in(milliseconds))
    quiet: Samples = (noise * min(one.floor, 0.003)).astype(np.float32)
    return quiet
