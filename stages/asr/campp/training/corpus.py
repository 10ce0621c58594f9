"""Clips to frames, once: changed copies are made, turned into Fbank, and kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stages.asr.campp import features
from stages.asr.campp.geometry import Geometry
from stages.asr.campp.training import align, augment, manifest, pronounce, room, sound, text
from stages.asr.campp.training.align import Marks, Shift
from stages.asr.campp.training.config import Config, Source
from stages.asr.campp.training.manifest import BadInput, Clip
from stages.asr.campp.training.room import Need
from stages.asr.campp.training.tails import NotWritten
from stages.events import SAMPLE_RATE

Half = npt.NDArray[np.float16]

BYTES_A_SECOND = 16_000
"""Of frames on disk."""

Sources = list[tuple[Source, list[Clip]]]

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Item:
    """Frames of one copy of a clip, within the file of all frames."""

    start: int  # first row
    frames: int
    tokens: tuple[int, ...]
    source: str
    key: str
    held: bool
    shift: Shift = align.UNCHANGED

    @property
    def seconds(self) -> float:
        """Length of the clip's frames."""
        return self.frames / 100


class Corpus:
    """All items, and their frames as one memory-mapped table of (rows, mels)."""

    def __init__(
        self, items: list[Item], rows: Half, marks: dict[tuple[str, str], Marks] | None = None
    ) -> None:
        self.items, self._rows = items, rows
        self._marks = marks or {}  # by source and key

    def frames(self, item: Item) -> Half:
        """Return an item's frames, (frames, mels)."""
        return self._rows[item.start : item.start + item.frames]

    def phones(self, item: Item, count: int, seconds: float, late: float) -> Marks:
        """Return the phones of an item's output frames; of no known ones, ``align.UNKNOWN``.

        Args:
            item: whose.
            count: output frames.
            seconds: from one of them to the next.
            late: seconds that a frame may take to tell what it heard.
        """
        marks = self._marks.get((item.source, item.key))
        if marks is None:
            return np.full(count, align.UNKNOWN, dtype=np.int8)
        return align.frames_of(marks, item.shift, count, seconds, late)

    def mean_and_deviation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return mean and standard deviation of every mel, over some thousand items."""
        chosen = [item for item in self.items if not item.held]
        chosen = chosen[:: max(1, len(chosen) // 3000)]
        some = np.concatenate([self.frames(item)[::4] for item in chosen]).astype(np.float32)
        deviation: npt.NDArray[np.float32] = np.maximum(some.std(axis=0), 0.1)
        return some.mean(axis=0), deviation


def clips_of(config: Config, data: Path, work: Path) -> Sources:
    """Read all manifests, and open every clip; none is decoded.

    Raises:
        BadInput: with the faults of all of them.
    """
    found: Sources = []
    faults: list[str] = []
    for source in config.sources:
        file = source.file(data, work)
        try:
            found.append((source, manifest.read(file, source.sets, opened=True)))
        except BadInput as error:
            faults += [f"{file}: {fault}" for fault in error.faults]
    if faults:
        raise BadInput("the training data", list(dict.fromkeys(faults)))
    return found


def prepare(config: Config, data: Path, work: Path, tell: Tell) -> Corpus:
    """Return the frames of everything, made now or in an earlier run.

    Args:
        config: the training.
        data: folder that {data} in its manifests stands for.
        work: folder for the frames, and what {work} stands for.
        tell: hears a line about what is done.

    Raises:
        BadInput: a manifest or a clip cannot be used, or there is no room on the disk.
        NoAligner: phones are wanted, and what finds them is not installed.
        NoDictionary: the network tells phones, and their dictionary is not installed.
        NotWritten: the disk is full.
    """
    return frames_of(config, clips_of(config, data, work), work, tell)


def frames_of(config: Config, sources: Sources, work: Path, tell: Tell) -> Corpus:
    """Return the frames of clips, made now or in an earlier run.

    Raises:
        BadInput: a clip cannot be decoded, or there is no room on the disk.
        NoAligner, NoDictionary, NotWritten: as ``prepare`` says.
    """
    lacking = room.faults([Need("frames", work, bytes_of(config, sources, work))])
    if lacking:
        raise BadInput("the training data", lacking)
    lexicon = pronounce.Lexicon.read() if config.network.units == "phones" else None
    marks: dict[tuple[str, str], Marks] = {}
    for source, clips in sources:
        if source.aligned:
            found = align.of_clips(source.name, clips, work, tell)
            marks |= {(source.name, key): each for key, each in found.items()}
    geometry = config.network.geometry()
    folders = [_folder(work, source, clips, config) for source, clips in sources]
    for folder, (source, clips) in zip(folders, sources, strict=True):
        if not _made(folder):
            tell(f"{source.name}: frames of {len(clips)} clips, {source.copies} copies each")
            _make(folder, source, clips, geometry, config)
    items, rows = _joined(folders, geometry.front.mels)
    items = _shifted(items, sources, config)
    if lexicon is not None:
        items = _in_phones(items, sources, lexicon, tell)
    return Corpus(items, rows, marks)


def bytes_of(config: Config, sources: Sources, work: Path) -> float:
    """Return the bytes of all frames that are still to be made, rather too many than too few."""
    seconds = sum(
        (clip.duration or 5.0) * (source.copies + 0.3)
        for source, clips in sources
        if not _made(_folder(work, source, clips, config))
        for clip in clips
    )
    return seconds * BYTES_A_SECOND * 1.2


def _made(folder: Path) -> bool:
    return (folder / "items.jsonl").exists()


def _folder(work: Path, source: Source, clips: Sequence[Clip], config: Config) -> Path:
    digest = hashlib.sha256(
        json.dumps(
            [
                source.model_dump(exclude={"weight", "aligned"}),
                config.network.geometry().front.model_dump(),
                config.augment.model_dump(),
                config.seed,
                [(clip.key, clip.text) for clip in clips],
            ]
        ).encode()
    )
    return work / "frames" / f"{source.name}-{digest.hexdigest()[:12]}"


def _make(
    folder: Path, source: Source, clips: Sequence[Clip], geometry: Geometry, config: Config
) -> None:
    """Write rows and items beside the folder, then move them there: all of it or nothing."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        faults = _write(part, source, clips, geometry, config)
        if not faults:
            os.replace(part, folder)
    except OSError as error:
        raise NotWritten(part, str(error)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if faults:
        raise BadInput(f"the source {source.name}", faults)


def _write(
    part: Path, source: Source, clips: Sequence[Clip], geometry: Geometry, config: Config
) -> list[str]:
    """Write rows and items into a folder, and return the faults of clips that are no sound."""
    fbank, rows, faults = features.Fbank(geometry.front), 0, []
    with (part / "rows.f16").open("wb") as table, (part / "items.jsonl").open("w") as items:
        for clip in clips:
            try:
                samples = sound.load(clip.file)
            except sound.BadSound as error:
                faults.append(str(error))
                continue
            held = manifest.held_back(clip, source.hold_by, source.hold_share)
            for copy in range(1 if held else source.copies):
                heard = samples
                if not held:
                    heard = augment.changed(samples, config.augment, _dice(config.seed, clip, copy))
                count = _real(geometry, len(heard))
                frames, _ = features.whole(geometry, fbank, heard)
                table.write(frames[:count].astype(np.float16).tobytes())
                line = [rows, count, text.encoded(clip.text), source.name, clip.key, held]
                items.write(json.dumps(line) + "\n")
                rows += count
    return faults


def _real(geometry: Geometry, samples: int) -> int:
    """Frames that a clip needs for all its output rows, without the silence of its last packet."""
    outputs = -(-samples // geometry.out_hop)
    frames = outputs * (geometry.chunk // geometry.out_frames)
    return (frames - 1) * geometry.subsampling + geometry.right_context + 1


def _dice(seed: int, clip: Clip, copy: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}\n{clip.group}\n{clip.key}\n{copy}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def _shifted(
    items: Sequence[Item], sources: Sequence[tuple[Source, list[Clip]]], config: Config
) -> list[Item]:
    """Return items that know how they lie against their clips: the same dice tell it again."""
    aligned = {
        (source.name, clip.key): clip
        for source, clips in sources
        if source.aligned
        for clip in clips
    }
    copies: dict[tuple[str, str], int] = {}
    made = []
    for item in items:
        place = item.source, item.key
        copy = copies[place] = copies.get(place, -1) + 1
        if place in aligned and not item.held:
            dice = _dice(config.seed, aligned[place], copy)
            speed, before, _ = augment.shift(config.augment, dice)
            item = replace(item, shift=Shift(speed, before / SAMPLE_RATE))
        made.append(item)
    return made


def _in_phones(
    items: Sequence[Item],
    sources: Sequence[tuple[Source, list[Clip]]],
    lexicon: pronounce.Lexicon,
    tell: Tell,
) -> list[Item]:
    """Return items whose tokens are phones; those that nobody can pronounce are left out."""
    said: dict[tuple[str, str], tuple[int, ...]] = {}
    for source, clips in sources:
        for clip in clips:
            phones = lexicon.spelled(clip.text)
            if phones is not None:
                said[source.name, clip.key] = tuple(text.phones_encoded(phones))
    kept = [
        replace(item, tokens=said[item.source, item.key])
        for item in items
        if (item.source, item.key) in said
    ]
    if len(kept) < len(items):
        tell(f"{len(items) - len(kept)} of {len(items)} items have words without phones")
    return kept


def _joined(folders: Sequence[Path], mels: int) -> tuple[list[Item], Half]:
    items: list[Item] = []
    tables = []
    before = 0
    for folder in folders:
        table = np.fromfile(folder / "rows.f16", dtype=np.float16)
        with (folder / "items.jsonl").open() as lines:
            for line in lines:
                start, frames, tokens, source, key, held = json.loads(line)
                items.append(Item(start + before, frames, tuple(tokens), source, key, held))
        tables.append(table.reshape(-1, mels))
        before += len(tables[-1])
    return items, np.concatenate(tables)

