"""Prints: good enough or refused, sealed or not kept, gone when forgotten."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import numpy as np
import pytest

from agent.errors import NotPossible
from agent.prints import VOICED, VoicePrint, identify, sameness, spoken, voiced
from agent.recordings import recording
from agent.speakers import Clip, SpeakerBook, UnreadableBook, print_of
from stages.audio import silence
from stages.events import SAMPLE_RATE, Samples
from stages.speaker.spectrum import Spectrum
from tests.agent.voices import voice


def one(name: str = "Anna", model: str = "spectrum", at: int = 0) -> VoicePrint:
    print_ = np.zeros(4, dtype=np.float32)
    print_[at] = 1.0
    return VoicePrint(name, model, print_, 2, 6.5, "2026-01-02T03:04:05+00:00")


@pytest.fixture
def book(tmp_path: Path) -> SpeakerBook:
    return SpeakerBook(tmp_path / "state")


# --- the book -------------------------------------------------------------------------------


def test_what_is_put_is_read_again_and_replaced_by_the_same_name(book: SpeakerBook) -> None:
    book.put(one("Anna"))
    book.put(one("Bo", at=1))
    book.put(one("Anna", at=2))
    bo, anna = book.read()
    assert (bo.name, anna.name) == ("Bo", "Anna")
    assert anna.print.tolist() == [0, 0, 1, 0]
    assert (anna.clips, anna.seconds, anna.enrolled_at) == (2, 6.5, "2026-01-02T03:04:05+00:00")


def test_nothing_of_a_print_lies_on_disk_in_clear_and_only_the_owner_reads_it(
    book: SpeakerBook,
) -> None:
    book.put(one("Annabelle"))
    everything = b"".join(file.read_bytes() for file in book.folder.iterdir())
    assert b"Annabelle" not in everything
    assert one().print.tobytes() not in everything
    for file in (book.file, book.key_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_who_is_forgotten_is_gone(book: SpeakerBook) -> None:
    book.put(one("Anna"))
    book.put(one("Anna", model="campplus 1"))
    book.put(one("Bo"))
    assert book.forget("Anna") == 2
    assert [known.name for known in book.read()] == ["Bo"]
    assert book.forget("Anna") == 0
    book.forget_all()
    assert list(book.folder.iterdir()) == []


@pytest.mark.parametrize("place", [0, 9, 30, -1])
def test_a_changed_byte_is_noticed_wherever_it_is(book: SpeakerBook, place: int) -> None:
    book.put(one())
    sealed = bytearray(book.file.read_bytes())
    sealed[place] ^= 1
    book.file.write_bytes(sealed)
    with pytest.raises(UnreadableBook) as caught:
        book.read()
    assert str(caught.value) == (
        f"The voice prints in {book.file} cannot be trusted: they were changed, or belong to"
        " another key. Nothing of them is used. Bring the old key back, or begin anew with:"
        " firstword speaker forget --all"
    )
    with pytest.raises(UnreadableBook):
        book.put(one("Bo"))  # and what is there is not overwritten


def test_a_lost_key_and_another_key_are_noticed(book: SpeakerBook) -> None:
    book.put(one())
    key = book.key_file.read_bytes()
    book.key_file.unlink()
    with pytest.raises(UnreadableBook, match="belong to another key"):
        book.read()
    SpeakerBook(book.folder / "other").put(one())
    book.key_file.write_bytes((book.folder / "other" / "speakers.key").read_bytes())
    with pytest.raises(UnreadableBook):
        book.read()
    book.key_file.write_bytes(key)
    assert book.read()


def test_a_key_that_is_none_is_explained(book: SpeakerBook) -> None:
    book.put(one())
    book.key_file.write_text("swordfish")
    with pytest.raises(NotPossible, match="holds no key: it is 32 random bytes"):
        book.read()


@pytest.mark.parametrize("name", ["", " Anna", "a/b", "two\nlines", "x" * 61])
def test_a_name_that_cannot_be_is_refused(book: SpeakerBook, name: str) -> None:
    with pytest.raises(NotPossible, match="cannot be a name"):
        book.put(one(name))
    assert not book.file.exists()


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotPossible, match=r"cannot be (kept in|read)"):
        SpeakerBook(tmp_path / "file" / "state").put(one())


# --- enrolment ------------------------------------------------------------------------------


async def refusal(*clips: Samples) -> str:
    named = [Clip(f"{number}.wav", samples) for number, samples in enumerate(clips, 1)]
    with pytest.raises(NotPossible) as refused:
        await print_of(Spectrum(0.9), "Anna", named)
    return str(refused.value)


async def test_several_clips_make_one_print_in_their_middle() -> None:
    clips = [Clip("a", voice(200, 3)), Clip("b", voice(210, 3))]
    made = await print_of(Spectrum(0.9), "Anna", clips)
    assert (made.clips, made.seconds, made.model) == (2, 6.0, "spectrum")
    assert float(np.linalg.norm(made.print)) == pytest.approx(1.0, abs=1e-5)


async def test_clips_that_are_not_good_enough_are_refused_with_what_is_wanted() -> None:
    assert "has 1.0 s of speech; at least 1.5 s" in await refusal(voice(200, 1))
    assert "All clips together have 2.0 s" in await refusal(voice(200, 2))
    assert "is too faint (-4" in await refusal(voice(200, 5, loud=0.006))
    assert "is distorted:" in await refusal(np.clip(voice(200, 5) * 20, -1, 1))
    assert "It seems to be noise, or silence" in await refusal(silence(5 * SAMPLE_RATE))


@pytest.mark.parametrize("colour", [0.0, 0.5, 1.0])
async def test_noise_of_any_colour_is_no_voice(colour: float) -> None:
    spectrum = np.fft.rfft(np.random.default_rng(1).normal(0, 1, 6 * SAMPLE_RATE))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** colour
    noise = np.fft.irfft(spectrum)
    told = await refusal((0.1 * noise / noise.std()).astype(np.float32))
    assert re.fullmatch(
        r"1\.wav is noise rather than a voice: \d+% of it has a pitch, and of speech 20% or more"
        r" has\.",
        told,
    )


@pytest.mark.speech
def test_people_have_a_pitch(speech: Path) -> None:
    for folder in ("sv", "zh"):
        for file in sorted((speech / "dev" / folder).glob("*.flac")):
            assert voiced(spoken(recording(file))) > VOICED, file.name


async def test_two_voices_in_one_clip_are_noticed() -> None:
    both = np.concatenate([voice(200, 4), voice(900, 4)])
    assert re.fullmatch(
        r"1\.wav sounds like more than one voice, or like something that is none \(likeness of"
        r" its parts 0\.\d\d; one voice has 0\.90 or more\)\.",
        await refusal(both),
    )


async def test_a_clip_of_somebody_else_is_named() -> None:
    told = await refusal(voice(200, 3), voice(200, 3), voice(900, 3))
    assert told.startswith("3.wav sounds like another voice than the other clips")


async def test_no_clips_are_none() -> None:
    assert "takes 1 to 20 clips, not 0" in await refusal()


# --- comparing ------------------------------------------------------------------------------


def test_a_voice_is_known_when_it_is_like_enough_and_ahead_of_the_next() -> None:
    heard = np.array([0.9, 0.4, 0, 0], dtype=np.float32)
    known = [one("Anna"), one("Bo", at=1)]
    assert identify(heard, known, 0.8, 0.05).name == "Anna"
    assert identify(heard, known, 0.95, 0.05).name == ""
    doubtful = identify(heard, known, 0.8, 0.6)
    assert (doubtful.name, doubtful.nearest) == ("", "Anna")
    assert doubtful.margin == pytest.approx(0.5)
    assert identify(heard, [], 0.8, 0.05).name == ""


def test_silence_between_words_is_no_part_of_a_voice() -> None:
    words = np.concatenate([voice(200, 1), silence(SAMPLE_RATE), voice(200, 1)])
    assert len(spoken(words)) == 2 * SAMPLE_RATE
    assert len(spoken(silence(100))) == 0
    assert sameness([one().print]) == 1.0
