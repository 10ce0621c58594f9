"""One reply, whatever its stages do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import anyio
import numpy as np
import pytest

from agent.history import heard
from agent.playout import ReplyAudio
from agent.speak import CLAUSE_S, SORRY, Script, speak
from agent.voicing import AUDIBLE, LEAD
from stages.contracts import Sink, Source
from stages.errors import Transient, Unusable
from stages.events import (
    ChatRequest,
    Clause,
    LlmEvent,
    Message,
    Samples,
    Speech,
    TextDelta,
    Usage,
    Voice,
)
from tests.agent.speaking import Mind, Notes, Voiced, mouths
from tests.skipping import SKIPPING

REQUEST = ChatRequest((Message("system", "Be kind."), Message("user", "Hello?")))
THREE = ("One is here. ", "Two is here. ", "Three is here.")


@pytest.fixture
def anyio_backend() -> tuple[str, Mapping[str, object]]:
    """Slow thoughts and voices take no time here."""
    return SKIPPING


def script(mind: Mind | None, *voices: Voiced, language: str = "en") -> Script:
    return Script(
        mind or Mind(()), mouths(*(voices or (Voiced(),))), language, REQUEST, thinking_s=0.05,
        voicing_s=0.05,
    )  # fmt: skip


async def reply(plan: Script) -> tuple[ReplyAudio, Notes]:
    audio, notes = ReplyAudio(1), Notes()
    with anyio.fail_after(10):
        await speak(plan, audio, notes)
    assert audio.finished
    return audio, notes


def texts(audio: ReplyAudio) -> list[str]:
    return [span.text for span in audio.spans]


def whole(audio: ReplyAudio) -> Samples:
    return audio.take(10**9)


# --- all is well ----------------------------------------------------------------------------


async def test_a_reply_is_thought_cut_and_said() -> None:
    audio, notes = await reply(script(Mind(THREE)))
    assert texts(audio) == list(THREE) == notes.clauses
    assert notes.pieces == 3
    assert notes.costs == [Usage(3, 3)]
    assert notes.failures == notes.fallbacks == []
    assert {"llm_first_clause", "tts_first_audio"} <= set(notes.marks)
    ends = [span.end for span in audio.spans]
    assert [span.start for span in audio.spans] == [0, *ends[:-1]]
    assert ends[-1] == audio.pushed == len(whole(audio))


async def test_a_script_without_a_request_is_said_as_it_stands() -> None:
    plan = replace(script(None), request=None, text="Welcome! Sit down.")
    audio, notes = await reply(plan)
    assert "".join(texts(audio)) == "Welcome! Sit down."
    assert notes.failures == []


async def test_first_words_without_an_end_are_said_after_a_while() -> None:
    mind = Mind(("I think that you",), hangs=True)
    plan, audio, notes = replace(script(mind), thinking_s=60), ReplyAudio(1), Notes()
    with anyio.move_on_after(0.9 * CLAUSE_S):
        await speak(plan, audio, notes)
    assert notes.clauses == []
    with anyio.move_on_after(1.1 * CLAUSE_S):
        await speak(plan, audio, notes)
    assert notes.clauses == ["I think that "]
    assert audio.pushed


async def test_a_trickle_of_words_does_not_put_that_off() -> None:
    """Each word comes before the wait for it is over; the first was there long ago."""

    class Trickle(Mind):
        async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
            async with sink:
                for _ in range(8):
                    await sink.send(TextDelta("word "))
                    await anyio.sleep(0.2)

    audio, notes = await reply(replace(script(Trickle(())), thinking_s=60))
    assert len(notes.clauses) > 1
    assert "".join(texts(audio)) == "word " * 8


async def test_silence_before_the_first_sound_is_cut_off() -> None:
    audio, _ = await reply(script(Mind(THREE), Voiced(lead=3000, piece=700)))
    sound = whole(audio)
    assert np.abs(sound[LEAD]) >= AUDIBLE
    assert not np.abs(sound[: LEAD - 1]).any()
    first, second, _ = audio.spans
    assert first.end == LEAD + 100 * len("One is here.")
    assert second.end is not None
    assert second.end - second.start == 3000 + 100 * len("Two is here.")


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
@pytest.mark.parametrize("lead", [0, 3000])
@pytest.mark.parametrize("piece", [200, 320, 5000])
async def test_words_stand_where_they_sound(rate: int, lead: int, piece: int) -> None:
    audio, _ = await reply(script(Mind(THREE), Voiced(rate=rate, lead=lead, piece=piece)))
    scale, first = 24_000 / rate, audio.spans[0]
    sound = whole(audio)
    audible = int(np.flatnonzero(np.abs(sound) >= 0.3)[0])
    assert audible <= 2 * LEAD  # a resampler rings a little before
    assert [word.text for word in first.words] == ["One", "is", "here."]
    for word, place in zip(first.words, (0, 4, 7), strict=True):
        assert abs(word.start - (audible + 100 * place * scale)) <= 2
    second = audio.spans[1]
    assert [word.text for word in second.words] == ["Two", "is", "here."]
    assert abs(second.words[0].start - lead * scale) <= 2


# --- the LLM fails --------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_an_llm_that_fails_at_once_is_replaced_by_an_apology(language: str) -> None:
    mind = Mind((), then=Unusable("llm openai", "the key was refused"))
    audio, notes = await reply(script(mind, language=language))
    assert "".join(texts(audio)) == SORRY[language[:2]]
    assert notes.failures == ["llm openai: the key was refused"]


async def test_an_llm_that_says_nothing_at_all_is_too() -> None:
    audio, notes = await reply(script(Mind((" ", "\n"))))
    assert "".join(texts(audio)).strip() == SORRY["en"]
    assert notes.failures == ["llm: it had nothing to say"]


async def test_an_llm_that_falls_silent_is_given_up() -> None:
    mind = Mind((), hangs=True)
    audio, notes = await reply(script(mind))
    assert "".join(texts(audio)) == SORRY["en"]
    assert notes.failures == ["llm: nothing came for 0.05 s"]
    assert mind.closed.is_set()


async def test_an_llm_that_fails_midway_leaves_what_it_said() -> None:
    mind = Mind(THREE[:2], then=Transient("llm openai", "the stream was cut"))
    audio, notes = await reply(script(mind))
    assert texts(audio) == list(THREE[:2])
    assert notes.failures == ["llm openai: the stream was cut"]


# --- the voice fails ------------------------------------------------------------------------


@pytest.mark.parametrize("clause", [0, 1, 2])
@pytest.mark.parametrize("after", [0, 1])
async def test_another_voice_goes_on_with_the_clause_that_failed(clause: int, after: int) -> None:
    broken = Voiced(clause, after, then=Transient("tts edge", "the stream was cut"))
    second = Voiced()
    audio, notes = await reply(script(Mind(THREE), broken, second))
    assert texts(audio) == list(THREE) == notes.clauses
    assert second.got == list(THREE[clause:])
    assert notes.fallbacks == ["tts edge: the stream was cut; the voice 'second' goes on."]
    assert notes.failures == []
    extra = after * broken.piece
    assert audio.pushed == sum(100 * len(text.strip()) for text in THREE) + extra
    for number, span in enumerate(audio.spans):
        begun = extra if number == clause else 0
        assert span.words[0].start == begun
        assert [word.text for word in span.words] == span.text.split()


async def test_after_a_change_of_voice_a_cut_still_falls_where_it_was_heard() -> None:
    broken = Voiced(0, 2, then=Transient("tts edge", "the stream was cut"), lead=1000)
    audio, _ = await reply(script(Mind(THREE), broken, Voiced(lead=500, piece=450)))
    first = audio.spans[0]
    sounds = int(np.flatnonzero(np.abs(whole(audio)) >= AUDIBLE)[0])
    assert first.words[0].start == sounds <= LEAD
    assert heard(audio.spans, first.words[1].end, complete=False) == "One is"


async def test_a_voice_that_hangs_is_given_up() -> None:
    broken = Voiced(1, 1)
    audio, notes = await reply(script(Mind(THREE), broken, Voiced()))
    assert texts(audio) == list(THREE)
    assert notes.fallbacks == ["tts first: no sound came for 0.05 s; the voice 'second' goes on."]
    assert broken.closed.is_set()


async def test_a_voice_is_not_blamed_for_an_llm_that_is_slow() -> None:
    """Its time begins when it gets a clause, not when it gave the last one."""

    class Slow(Mind):
        async def run(self, request: ChatRequest, sink: Sink[LlmEvent]) -> None:
            async with sink:
                for piece in THREE:
                    await sink.send(TextDelta(piece))
                    await anyio.sleep(0.28)

    class Late(Voiced):
        async def _say(self, clause: Clause, sink: Sink[Speech]) -> bool:
            await anyio.sleep(0.05)
            return await super()._say(clause, sink)

    plan = replace(script(Slow(()), Late()), thinking_s=60, voicing_s=0.3)
    audio, notes = await reply(plan)
    assert texts(audio) == list(THREE)
    assert notes.failures == []


async def test_a_voice_that_ends_too_early_has_failed() -> None:
    audio, notes = await reply(script(Mind(THREE), Voiced(1, 0, ends=True), Voiced()))
    assert texts(audio) == list(THREE)
    ended = "tts first: the voice ended before its text; the voice 'second' goes on."
    assert notes.fallbacks == [ended]


async def test_a_voice_that_ends_while_nothing_is_to_be_said_has_failed_too() -> None:
    class Leaves(Voiced):
        async def _say(self, clause: Clause, sink: Sink[Speech]) -> bool:
            await super()._say(clause, sink)
            return False

    audio, notes = await reply(script(Mind(THREE), Leaves(), Voiced()))
    assert texts(audio) == list(THREE)
    assert len(notes.fallbacks) == 1


async def test_sound_that_nobody_asked_for_is_a_failure_of_the_voice() -> None:
    class Babbles(Voiced):
        async def _say(self, clause: Clause, sink: Sink[Speech]) -> bool:
            await super()._say(clause, sink)
            await sink.send(self.pieces(clause)[0])
            return True

    audio, notes = await reply(script(Mind(THREE), Babbles(), Voiced()))
    assert texts(audio) == list(THREE)
    assert "which was not its turn; the voice 'second' goes on." in notes.fallbacks[0]


async def test_a_voice_that_falls_over_after_its_work_harms_nobody() -> None:
    class Slams(Voiced):
        async def run(self, voice: Voice, source: Source[Clause], sink: Sink[Speech]) -> None:
            await super().run(voice, source, sink)
            raise Transient("tts edge", "the door fell off")

    audio, _ = await reply(script(Mind(THREE), Slams(), Voiced()))
    assert texts(audio) == list(THREE)


async def test_when_every_voice_has_failed_the_reply_is_over() -> None:
    refused = Unusable("tts edge", "403")
    mind = Mind(tuple(f"This is sentence number {n}. " for n in range(400)), hangs=True)
    audio, notes = await reply(
        replace(script(mind, Voiced(0, 0, refused), Voiced(1, 2, refused)), thinking_s=60)
    )
    assert notes.fallbacks == ["tts edge: 403; the voice 'second' goes on."]
    assert notes.failures == ["tts edge: 403"]
    assert mind.closed.is_set()
    assert texts(audio) == ["This is sentence number 0. ", "This"]
    assert heard(audio.spans, audio.pushed, complete=True) == "This is sentence number 0. This"


# --- cancelled ------------------------------------------------------------------------------


async def test_a_cancelled_reply_closes_both_streams() -> None:
    mind, voice = Mind(THREE, hangs=True), Voiced(1, 1)
    plan, audio = replace(script(mind, voice), thinking_s=60, voicing_s=60), ReplyAudio(1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(speak, plan, audio, Notes())
        with anyio.fail_after(10):
            await voice.silent.wait()
            await mind.said.wait()
        assert not mind.closed.is_set()
        tasks.cancel_scope.cancel()
    assert mind.closed.is_set()
    assert voice.closed.is_set()
    assert not audio.finished
