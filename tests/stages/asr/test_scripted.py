from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio

from stages.asr.scripted import ScriptedOptions
from stages.audio import samples_in, silence
from stages.events import AsrInput, Audio, Hearing, Pause, Transcript, UtteranceEnd, UtteranceStart
from stages.models import ModelStore
from stages.registry import find
from tests.stages.streams import fed


class Caller:
    """Writes down what an ASR hears of a call."""

    def __init__(self) -> None:
        self.words: list[AsrInput] = []
        self._at = self._utterance = 0

    def starts(self) -> Caller:
        self._utterance += 1
        self.words.append(UtteranceStart(self._utterance, self._at))
        return self

    def speaks(self, milliseconds: int) -> Caller:
        for _ in range(milliseconds // 20):
            self.words.append(Audio(silence(samples_in(20)), self._at))
            self._at += samples_in(20)
        return self

    def pauses(self) -> Caller:
        self.words.append(Pause(self._utterance, self._at))
        return self

    def ends(self) -> Caller:
        self.words.append(UtteranceEnd(self._utterance))
        return self


async def heard(caller: Caller, lines: Sequence[str], **options: int) -> list[Transcript]:
    plugin = find("asr", "scripted")
    chosen = ScriptedOptions(lines=tuple(lines), **options)
    async with plugin.open(chosen, ModelStore(Path())) as asr:

        async def run(source: object, sink: object) -> None:
            await asr.run(Hearing(), source, sink)

        return await fed(run, caller.words)


def finals(transcripts: list[Transcript]) -> list[str]:
    return [transcript.text for transcript in transcripts if transcript.final]


async def test_words_appear_as_audio_comes_and_the_pause_makes_them_final() -> None:
    caller = Caller().starts().speaks(500).pauses().ends()
    transcripts = await heard(caller, ["good morning to you"])
    assert [(it.text, it.final) for it in transcripts] == [
        ("good", False),
        ("good morning", False),
        ("good morning to you", True),
    ]
    assert transcripts[0].upto == samples_in(200)
    assert transcripts[-1].upto == samples_in(500)
    assert transcripts[-1].stable == len("good morning to you")


async def test_chinese_appears_character_by_character() -> None:
    transcripts = await heard(Caller().starts().speaks(640).pauses(), ["你好吗?"])
    assert [it.text for it in transcripts] == ["你", "你好", "你好吗", "你好吗?"]


async def test_each_utterance_takes_the_next_line_and_the_last_is_followed_by_the_first() -> None:
    caller = Caller()
    for _ in range(3):
        caller.starts().speaks(40).pauses().ends()
    assert finals(await heard(caller, ["one", "two"])) == ["one", "two", "one"]


async def test_a_marked_line_grows_from_pause_to_pause() -> None:
    caller = Caller().starts().speaks(40).pauses().speaks(40).pauses().speaks(40).pauses()
    said = finals(await heard(caller, ["Book a table | for four"]))
    assert said == ["Book a table", "Book a table for four", "Book a table for four"]


async def test_an_unmarked_line_is_whole_at_every_pause() -> None:
    caller = Caller().starts().speaks(40).pauses().speaks(400).pauses()
    assert finals(await heard(caller, ["Book a table"])) == ["Book a table"] * 2


async def test_partials_go_on_after_a_pause_that_was_none() -> None:
    caller = Caller().starts().speaks(240).pauses().speaks(600).pauses()
    transcripts = await heard(caller, ["one | two three"])
    assert [it.text for it in transcripts if not it.final] == ["one", "one two", "one two three"]


async def test_a_noise_without_words_gets_an_empty_final() -> None:
    assert finals(await heard(Caller().starts().speaks(400).pauses().ends(), [""])) == [""]


async def test_a_slow_recogniser_still_answers_every_pause_once_and_in_order() -> None:
    caller = Caller()
    for _ in range(3):
        caller.starts().speaks(200).pauses().pauses().ends()
    transcripts = await heard(caller, ["a", "b", "c"], delay_ms=20)
    assert finals(transcripts) == ["a", "a", "b", "b", "c", "c"]


async def test_while_a_final_is_late_overtaken_partials_are_not_sent() -> None:
    caller = Caller().starts().speaks(40).pauses().speaks(400).pauses()
    transcripts = await heard(caller, ["one | two"], delay_ms=20)
    assert [it.final for it in transcripts] == [True, True]


async def test_hanging_up_does_not_wait_for_a_late_final() -> None:
    with anyio.move_on_after(0.05) as scope:
        await heard(Caller().starts().speaks(40).pauses(), ["late"], delay_ms=60_000)
    assert scope.cancelled_caught
