"""Calls in which it matters who speaks: two voices (two tones), one of them the owner's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.company import Company
from agent.engines import Stages
from agent.messages import Flush, Heard, Playing, Recognised, ReplyEnd, Say, Trouble
from agent.profile import Profile, load
from agent.speakers import Clip, SpeakerBook, print_of
from stages import registry
from stages.audio import silence
from stages.errors import Unusable
from stages.events import SAMPLE_RATE, Print, Samples
from stages.models import ModelStore
from stages.speaker.spectrum import Spectrum
from tests.agent.calling import Running, calling
from tests.agent.voices import voice
from tests.stages.clips import clip

STORY = "tell me a very long story about the sea and its ships"
OWNER, STRANGER = 200.0, 900.0


def bare(**wishes: Any) -> Profile:
    profile = load("bare").model_dump(exclude_unset=True)
    return Profile.model_validate(profile | {"speakers": {"engine": "spectrum", **wishes}})


@pytest.fixture
async def book(tmp_path: Path) -> SpeakerBook:
    book = SpeakerBook(tmp_path / "state")
    for name, hertz in (("Anna", OWNER), ("Bo", 3_000.0)):
        clip = Clip("one.wav", voice(hertz, 5.0))
        await anyio.to_thread.run_sync(
            book.put, await print_of(Spectrum(0.9), name, [clip])
        )
    return book


def knowing(book: SpeakerBook, **more: Any) -> Callable[[Stages], Stages]:
    """Have the call look into a test's own book."""

    def change(stages: Stages) -> Stages:
        assert stages.company is not None
        return replace(stages, company=replace(stages.company, book=book, **more))

    return change


async def say(running: Running, hertz: float, seconds: float = 1.5) -> None:
    running.line.say(voice(hertz, seconds))
    running.line.say(silence(3 * SAMPLE_RATE))


async def test_every_final_says_whose_voice_it_was_and_by_how_much(
    tmp_path: Path, book: SpeakerBook
) -> None:
    async with calling(tmp_path, bare(), knowing(book)) as running:
        await running.page.wait_for(ReplyEnd)
        await say(running, OWNER)
        known = await running.page.wait_for(Recognised)
        await running.page.wait_for(ReplyEnd, 2)
        await say(running, STRANGER)
        other = await running.page.wait_for(Recognised, 2)
        record = (await running.recorded(1))[0]
    assert record.stages["speaker"] == "spectrum"
    assert known.name == "Anna"
    assert known.score > 0.9
    assert known.margin > 0.5
    assert other.name == ""
    assert other.score < 0.9


async def test_no_name_is_ever_told_to_the_model(tmp_path: Path, book: SpeakerBook) -> None:
    async with calling(tmp_path, bare(), knowing(book)) as running:
        await running.page.wait_for(ReplyEnd)
        await say(running, OWNER)
        await running.page.wait_for(ReplyEnd, 2)
        assert "Anna" not in str(list(running.call.history))
        assert "Anna" not in str(running.call.history.opening)


async def test_only_the_owner_is_answered(tmp_path: Path, book: SpeakerBook) -> None:
    wishes = bare(owner="Anna", owner_only=True)
    async with calling(tmp_path, wishes, knowing(book)) as running:
        await running.page.wait_for(ReplyEnd)
        await say(running, STRANGER)
        assert (await running.page.wait_for(Recognised)).name == ""
        await say(running, 3_000.0)  # enrolled, and not the owner
        assert (await running.page.wait_for(Recognised, 2)).name == "Bo"
        await say(running, OWNER)
        await running.page.wait_for(ReplyEnd, 2)
    finals = [message for message in running.page.all(Heard) if message.final]
    assert len(finals) == 1
    assert len([one for one in running.records if one.turn]) == 1


async def test_only_the_owner_can_talk_over_a_reply(tmp_path: Path, book: SpeakerBook) -> None:
    wishes = bare(owner="Anna", owner_only=True)
    async with calling(tmp_path, wishes, knowing(book)) as running:
        await running.page.wait_for(ReplyEnd)
        running.line.write(Say(text=STORY))
        await running.page.wait_for(Playing, 2)
        running.line.say(voice(STRANGER, 1.5))
        running.line.say(silence(SAMPLE_RATE // 2))
        running.line.say(voice(OWNER, 2.0))
        flush = await running.page.wait_for(Flush)
        end = await running.page.wait_for(ReplyEnd, 2)
    assert end.interrupted
    assert len(running.page.all(Flush)) == 1
    [stranger] = [one for one in running.page.all(Recognised) if not one.name][:1]
    assert running.page.messages.index(stranger) < running.page.messages.index(flush)


@pytest.mark.model
@pytest.mark.speech
@pytest.mark.timeout(120)
async def test_of_two_people_only_the_owner_is_answered_and_can_talk_over_a_reply(
    tmp_path: Path, store: ModelStore, speech: Path
) -> None:
    """Human voices, told apart by the network that ships."""
    owner, stranger = clip(speech, "dev/sv/pr_1.flac"), clip(speech, "dev/sv/yyp_b_1.flac")
    profile = load("bare").model_dump(exclude_unset=True)
    wishes = {"engine": "voicefilter", "owner": "Anna", "owner_only": True}
    people = SpeakerBook(tmp_path / "people")
    plugin = registry.find("speaker", "voicefilter")
    async with plugin.open(plugin.options(), store) as stage:
        enrolled = await print_of(stage, "Anna", [Clip("one", clip(speech, "dev/sv/pr_2.flac"))])
        await anyio.to_thread.run_sync(people.put, enrolled)
        known = Profile.model_validate(profile | {"vad": {"engine": "silero"}, "speakers": wishes})
        async with calling(tmp_path, known, knowing(people, stage=stage), store=store) as running:
            await running.page.wait_for(ReplyEnd)
            running.line.say(stranger[: 3 * SAMPLE_RATE])
            running.line.say(silence(3 * SAMPLE_RATE))
            await running.page.wait_for(Recognised)
            assert len(running.page.all(ReplyEnd)) == 1
            running.line.say(owner[: 4 * SAMPLE_RATE])
            running.line.say(silence(3 * SAMPLE_RATE))
            await running.page.wait_for(ReplyEnd, 2)
            running.line.write(Say(text=" and ".join([STORY] * 4)))
            await running.page.wait_for(Playing, 3)
            running.line.say(stranger[: 3 * SAMPLE_RATE // 2])
            running.line.say(silence(2 * SAMPLE_RATE))
            running.line.say(owner[: 3 * SAMPLE_RATE])
            await running.page.wait_for(Flush)
            assert (await running.page.wait_for(ReplyEnd, 3)).interrupted
    names = [one.name for one in running.page.all(Recognised)]
    assert names[0] == ""
    assert "Anna" in names
    assert len(running.page.all(Flush)) == 1


async def test_a_character_says_hello_by_name_once(tmp_path: Path, book: SpeakerBook) -> None:
    async with calling(tmp_path, bare(greet=True), knowing(book)) as running:
        await running.page.wait_for(ReplyEnd)
        await say(running, OWNER)
        hello = await running.page.wait_for(ReplyEnd, 3)
        assert hello.heard == "Nice to hear you, Anna."
        await say(running, OWNER)
        await running.page.wait_for(ReplyEnd, 4)
    assert sum("Anna" in end.heard for end in running.page.all(ReplyEnd)) == 1


async def test_another_character_may_want_to_know_who_speaks_and_the_next_one_not(
    tmp_path: Path, book: SpeakerBook
) -> None:
    async with calling(tmp_path) as running:
        await running.page.wait_for(ReplyEnd)
        wary = bare(owner="Anna", owner_only=True)
        assert wary.speakers is not None
        company = Company(Spectrum(0.9), wary.speakers, "en", book)
        running.call.become(wary, replace(running.call.stages, company=company))
        await say(running, STRANGER)
        assert (await running.page.wait_for(Recognised)).name == ""
        running.call.become(load("bare"), replace(running.call.stages, company=None))
        await say(running, STRANGER)
        await running.page.wait_for(ReplyEnd, 2)
    assert len(running.page.all(Recognised)) == 1


# --- what goes wrong ------------------------------------------------------------------------


async def test_a_book_that_was_tampered_with_is_said_and_the_call_goes_on(
    tmp_path: Path, book: SpeakerBook
) -> None:
    sealed = bytearray(book.file.read_bytes())
    sealed[40] ^= 1
    book.file.write_bytes(sealed)
    async with calling(tmp_path, bare(ignore_others=True), knowing(book)) as running:
        await running.page.wait_for(ReplyEnd)
        await say(running, STRANGER)
        trouble = await running.page.wait_for(Trouble)
        await running.page.wait_for(ReplyEnd, 2)  # it is answered all the same
    assert "cannot be trusted: they were changed" in trouble.sentence
    assert running.page.all(Recognised) == []


async def test_where_only_the_owner_is_answered_a_broken_book_lets_nobody_in(
    tmp_path: Path, book: SpeakerBook
) -> None:
    book.key_file.unlink()
    async with calling(tmp_path, bare(owner_only=True), knowing(book)) as running:
        await running.page.wait_for(ReplyEnd)
        await say(running, OWNER)
        trouble = await running.page.wait_for(Trouble)
    assert trouble.sentence.endswith("so it answers nobody.")
    assert [message for message in running.page.all(Heard) if message.final] == []


async def test_an_owner_who_was_never_enrolled_is_named(tmp_path: Path, book: SpeakerBook) -> None:
    wishes = bare(owner="Cleo", owner_only=True)
    async with calling(tmp_path, wishes, knowing(book)) as running:
        await running.page.wait_for(ReplyEnd)
        await say(running, OWNER)
        trouble = await running.page.wait_for(Trouble)
    assert "Cleo is not enrolled for spectrum" in trouble.sentence


class Broken:
    model, threshold = "spectrum", 0.9

    async def embed(self, samples: Samples) -> Print:
        raise Unusable("speaker broken", "the weights are gone")


async def test_a_network_that_fails_is_said_once_and_the_call_goes_on(
    tmp_path: Path, book: SpeakerBook
) -> None:
    async with calling(tmp_path, bare(), knowing(book, stage=Broken())) as running:
        await running.page.wait_for(ReplyEnd)
        await say(running, OWNER)
        await running.page.wait_for(ReplyEnd, 2)
        await say(running, OWNER)
        await running.page.wait_for(ReplyEnd, 3)
    [trouble] = running.page.all(Trouble)
    assert "the weights are gone" in trouble.sentence
    assert running.blamed[:2] == ["speaker broken: the weights are gone"] * 2


def test_a_company_is_what_a_profile_asks_for() -> None:
    profile = bare(threshold=0.4)
    assert profile.speakers is not None
    company = Company(Spectrum(0.9), profile.speakers, profile.language)
    assert company.choice.threshold == 0.4
