from __future__ import annotations

from functools import partial

import anyio
import numpy as np
import pytest

from stages.audio import level
from stages.errors import Unusable
from stages.events import Clause, Samples, Speech, Voice
from stages.models import ModelStore
from stages.tts.hibari import plugin
from tests.stages.streams import fed, sound

pytestmark = pytest.mark.model


async def said(store: ModelStore, voice: Voice, *texts: str) -> list[Speech]:
    clauses = [Clause(number, text, text) for number, text in enumerate(texts)]
    async with plugin.open(plugin.options(), store) as tts:
        return await fed(partial(tts.run, voice), clauses)


def melody(samples: Samples, rate: int) -> float:
    """Return the median pitch in Hz of the loud parts, by autocorrelation."""
    found = []
    for at in range(0, len(samples) - 1200, 600):
        frame = samples[at : at + 1200]
        if level(frame) > 0.05:
            same = np.correlate(frame, frame, "full")[len(frame) - 1 :]
            low, high = rate // 500, rate // 80
            found.append(rate / (low + int(same[low:high].argmax())))
    return float(np.median(found))


async def test_clauses_are_spoken_in_order_and_the_last_piece_of_each_is_marked(
    store: ModelStore,
) -> None:
    speeches = await said(store, Voice(), "Hello there. How are you?", "I am fine.")
    assert [(speech.clause, speech.last) for speech in speeches] == [
        (0, False),
        (0, True),
        (1, True),
    ]
    for speech in speeches:
        assert speech.rate == 24_000
        assert 0.3 < len(speech.samples) / speech.rate < 5
        assert 0.01 < level(speech.samples) < 0.5


@pytest.mark.parametrize("text", ["Yes.", "Fish have fins.", "He is here.", "Okay, the first,"])
async def test_the_caller_does_not_wait_for_silence(store: ModelStore, text: str) -> None:
    (speech,) = await said(store, Voice(), text)
    audible = np.flatnonzero(np.abs(speech.samples) > 0.003)
    assert audible[0] < speech.rate * 0.06
    assert len(speech.samples) - audible[-1] < speech.rate * 0.3


async def test_a_faster_voice_takes_less_time(store: ModelStore) -> None:
    text = "The quick brown fox jumps over the lazy dog."
    slow = await said(store, Voice(rate=0.8), text)
    fast = await said(store, Voice(rate=1.4), text)
    assert len(sound(fast)) < len(sound(slow)) * 0.7


async def test_volume_and_pitch_do_what_they_say(store: ModelStore) -> None:
    text = "The quick brown fox jumps over the lazy dog."
    plain = sound(await said(store, Voice(), text))
    quiet = sound(await said(store, Voice(volume=0.5), text))
    high = sound(await said(store, Voice(pitch=60), text))
    assert level(quiet) == pytest.approx(level(plain) / 2, rel=0.1)
    assert melody(high, 24_000) - melody(plain, 24_000) == pytest.approx(60, abs=25)


async def test_a_clause_without_words_is_a_moment_of_silence(store: ModelStore) -> None:
    (speech,) = await said(store, Voice("heart"), "…")
    assert speech.last
    assert not speech.samples.any()


@pytest.mark.parametrize(
    ("voice", "text", "sentence"),
    [
        (Voice(), "Hello 你好!", "tts hibari: it cannot say '你好', only English"),
        (Voice("xiaoxiao"), "Hello.", "tts hibari: it has no voice 'xiaoxiao'; there is: heart"),
        (Voice(rate=3), "Hello.", "tts hibari: a rate of 3 is not within 0.5 to 2.0"),
        (Voice(pitch=-300), "Hello.", "tts hibari: a pitch of -300 Hz is not within -80 to"),
    ],
)
async def test_what_it_cannot_do_it_says(
    store: ModelStore, voice: Voice, text: str, sentence: str
) -> None:
    with pytest.RaisesGroup(
        pytest.RaisesExc(Unusable, match=sentence), allow_unwrapped=True, flatten_subgroups=True
    ):
        await said(store, voice, text)


async def test_letters_with_accents_are_spoken(store: ModelStore) -> None:
    assert level(sound(await said(store, Voice(), "A café in Zürich, naïve and cosy."))) > 0.01


async def test_calls_at_the_same_time_get_their_own_words(store: ModelStore) -> None:
    texts = {"Yes.": 0, "I would like to tell you a rather long story about a dog.": 0}
    async with plugin.open(plugin.options(), store) as tts, anyio.create_task_group() as tasks:

        async def call(text: str) -> None:
            for _ in range(3):
                speeches = await fed(partial(tts.run, Voice()), [Clause(0, text, text)])
                texts[text] = len(sound(speeches))

        for text in texts:
            tasks.start_soon(call, text)
    short, long = texts.values()
    assert short * 2 < long
