"""When each phone of a text is said: found once for clean clips, by PocketSphinx.

CTC by itself spends most of its first steps on finding out where in the sound the letters are.
Told the phone of every frame at the middle of the network, it learns that in minutes.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stages.asr.campp.training import sound, tails
from stages.asr.campp.training.manifest import BadInput, Clip
from stages.asr.campp.training.pronounce import Lexicon
from stages.asr.campp.training.tails import NotWritten
from stages.asr.campp.training.text import PHONES
from stages.errors import UserError
from stages.events import SAMPLE_RATE, Samples

UNKNOWN = -1
"""The mark of a frame that nobody knows the phone of."""

RATE = 100
"""Marks a second."""

QUIET = int(0.1 * SAMPLE_RATE)
"""Samples of silence put around a clip: words at its very edges are lost otherwise."""

_NUMBERS = {phone: number for number, phone in enumerate(PHONES)}

Marks = npt.NDArray[np.int8]
"""The number of a phone for every hundredth of a second of a clip."""

Tell = Callable[[str], None]


class NoAligner(UserError):
    """A training wants phones, and the package that finds them is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "Sources with 'aligned: true' need PocketSphinx: pip install 'firstword[train]',"
            " or set 'aligned: false' and train without phones."
        )


@dataclass(frozen=True, slots=True)
class Shift:
    """How a changed copy lies against its clip: played ``speed`` times as fast, and later."""

    speed: float = 1.0
    before: float = 0.0  # seconds of silence


UNCHANGED = Shift()
"""Of a copy that is the clip itself."""


class Aligner:
    """Finds the phones of clips; one at a time.

    Args:
        package: what finds them.
        lexicon: asked for words that the package's dictionary lacks; in read books that is one
            or more in every third clip, and a clip with one has no phones otherwise.

    Raises:
        NoAligner: PocketSphinx is not installed.
    """

    def __init__(self, package: str = "pocketsphinx", lexicon: Lexicon | None = None) -> None:
        try:
            found: Any = importlib.import_module(package)
        except ImportError as error:
            raise NoAligner from error
        # Without bestpath: the second pass is bound to the words' times of the first, and those
        # that bestpath makes are too short for their phones in every fifth clip.
        self._decoder = found.Decoder(lm=None, loglevel="FATAL", bestpath=False, topn=2)
        self._lexicon = lexicon or Lexicon({}, guess=False)

    def marks(self, samples: Samples, text: str) -> Marks | None:
        """Return a clip's phones, or nothing: an unknown word, or sound that is not the text."""
        words = text.split()
        if not words or not all(self._knows(word) for word in words):
            return None
        wide = np.pad(samples, (QUIET, QUIET))
        pcm = (np.clip(wide, -1, 1) * 32767).astype("<i2").tobytes()
        try:
            self._decoder.set_align_text(text)
            self._hear(pcm)
            if self._decoder.hyp() is None:
                return None
            self._decoder.set_alignment()
            self._hear(pcm)
        except RuntimeError:  # no path through the text
            return None
        said = [(p.name, p.start, p.duration) for word in self._decoder.get_alignment()
                for p in word]  # fmt: skip
        return spread(said, len(samples) * RATE // SAMPLE_RATE, QUIET * RATE // SAMPLE_RATE)

    def _knows(self, word: str) -> bool:
        """Tell whether the decoder can say a word, perhaps because it was just told how."""
        if self._decoder.lookup_word(word) is not None:
            return True
        said = self._lexicon.of(word)
        if said:
            self._decoder.add_word(word, " ".join(said[0]), True)
        return bool(said)

    def _hear(self, pcm: bytes) -> None:
        self._decoder.start_utt()
        try:
            self._decoder.process_raw(pcm, full_utt=True)
        finally:
            self._decoder.end_utt()


def spread(said: Sequence[tuple[str, int, int]], count: int, early: int = 0) -> Marks:
    """Return phones with their starts and lengths as one mark for every hundredth of a second.

    Args:
        said: phone, start, length; unknown names (breaths, noises) are silence.
        count: marks wanted.
        early: marks before the clip's own start.
    """
    marks = np.zeros(count, dtype=np.int8)
    for phone, start, length in said:
        first = max(0, start - early)
        marks[first : max(0, start - early + length)] = _NUMBERS.get(phone, 0)
    return marks


def frames_of(marks: Marks, shift: Shift, count: int, seconds: float, late: float) -> Marks:
    """Return the phone of each of a copy's output frames.

    Args:
        marks: of the clean clip.
        shift: of the copy.
        count: output frames.
        seconds: from one of them to the next.
        late: seconds that a frame may take to tell what it heard.
    """
    # The middle of what an output frame sees is a quarter of its hop after its start; a mark
    # stands for a window of 25 ms that begins where it says.
    times = (np.arange(count) + 0.25) * seconds - late
    places = np.rint((times - shift.before) * shift.speed * RATE - 1).astype(int)
    inside = (places >= 0) & (places < len(marks))
    found = marks[np.clip(places, 0, max(0, len(marks) - 1))] if len(marks) else places * 0
    return np.where(inside, found, 0).astype(np.int8)


def of_clips(name: str, clips: Sequence[Clip], work: Path, tell: Tell) -> dict[str, Marks]:
    """Return the phones of a source's clips by key, found now or in an earlier run.

    Clips that cannot be aligned are left out and counted; a run that is broken off goes on.

    Raises:
        NoAligner: PocketSphinx is needed and not installed.
        BadInput: the file of an earlier run is broken, or clips cannot be decoded.
        NotWritten: the disk is full; what was found is kept.
    """
    file = _place(name, clips, work)
    begun = file.with_suffix(".part")
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            done = tails.whole_lines(begun)
            tell(f"{name}: phones of {len(clips) - done} clips")
            _find(name, clips[done:], begun)
            begun.replace(file)
        except OSError as error:
            raise NotWritten(begun, str(error)) from error
    found = _read(file)
    lost = len(clips) - len(found)
    if lost:
        tell(f"{name}: {lost} of {len(clips)} clips have no phones: unknown words, or other sound")
    return found


def write_found(
    name: str, clips: Sequence[Clip], work: Path, marks: Sequence[Marks | None]
) -> None:
    """Keep phones that were found in another way, as if ``of_clips`` had found them."""
    file = _place(name, clips, work)
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [_line(clip, each) for clip, each in zip(clips, marks, strict=True)]
    file.write_text("".join(lines), encoding="utf-8")


def _place(name: str, clips: Sequence[Clip], work: Path) -> Path:
    return work / "alignments" / f"{name}-{_digest(clips)}.jsonl"


def _line(clip: Clip, marks: Marks | None) -> str:
    return json.dumps([clip.key, None if marks is None else _packed(marks)]) + "\n"


def _find(name: str, clips: Sequence[Clip], file: Path) -> None:
    """Add a line for each clip.

    After one that is no sound the others are only decoded, to tell of all such at once: the lines
    stand for the first so many clips.
    """
    aligner, faults = Aligner(lexicon=Lexicon.read()), []
    with file.open("a", encoding="utf-8") as target:
        for clip in clips:
            try:
                samples = sound.load(clip.file)
            except sound.BadSound as error:
                faults.append(str(error))
                continue
            if not faults:
                target.write(_line(clip, aligner.marks(samples, clip.text)))
                target.flush()
    if faults:
        raise BadInput(f"the source {name}", faults)


def _packed(marks: Marks) -> list[list[int]]:
    """Return runs of the same phone: [number, length]."""
    ends = np.flatnonzero(np.diff(marks, append=-1)) + 1
    lengths = np.diff(ends, prepend=0)
    return [[int(marks[end - 1]), int(n)] for end, n in zip(ends, lengths, strict=True)]


def _read(file: Path) -> dict[str, Marks]:
    found: dict[str, Marks] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            key, packed = json.loads(line)
            if packed is not None:
                found[key] = _unpacked(packed)
        except (ValueError, TypeError) as error:
            fault = f"line {number} is no alignment; delete the file, and it is made anew"
            raise BadInput(str(file), [fault]) from error
    return found


def _unpacked(packed: list[list[int]]) -> Marks:
    numbers, lengths = np.array(packed, dtype=np.int64).reshape(-1, 2).T
    if ((numbers < 0) | (numbers >= len(PHONES)) | (lengths < 0)).any():
        raise ValueError("a phone that is none")
    return np.repeat(numbers, lengths).astype(np.int8)


def _digest(clips: Sequence[Clip]) -> str:
    said = json.dumps([2, [(clip.key, clip.text) for clip in clips]])
    return hashlib.sha256(said.encode()).hexdigest()[:12]
