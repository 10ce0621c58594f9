"""A caller who was cut off, in a whole call: one turn, until a word of the reply was heard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.engines import Mouth, Stages
from agent.messages import Playing, ReplyEnd
from agent.profile import Profile, Shelf
from stages.audio import samples_in, silence
from stages.events import Clause, Speech, Voice, Word
from tests.agent.calling import calling
from tests.agent.calling import tone as sound
from tests.agent.speaking import Voiced, tone

RATE = 24_000
SAID = "Hello, can you hear me?", "What can you do?"


class Drawling(Voiced):
    """A voice whose first word lasts as long as a test wants; the others are short."""

    def __init__(self, first_s: float) -> None:
        super().__init__()
        self.first = round(first_s * RATE)

    def pieces(self, clause: Clause) -> list[Speech]:
        samples = tone(self.first + 12_000)
        said = clause.spoken.split()
        words = (Word(said[0], 0, self.first), Word(said[-1], self.first, len(samples)))
        return [Speech(clause.number, samples, RATE, last=True, words=words)]


def plain(folder: Path) -> Profile:
    """Return a character without a greeting; one tone after another is no echo of it here."""
    text = "extends: bare\ngreeting: ''\nturn: {echo_guard: false}\n"
    (folder / "plain.yaml").write_text(text, encoding="utf-8")
    return Shelf((folder, Path(__file__).resolve().parents[2] / "profiles")).load("plain")


@pytest.mark.parametrize(("first_s", "turn"), [(2.0, 1), (0.1, 2)])
async def test_who_goes_on_before_the_first_word_of_the_reply_says_one_turn(
    tmp_path: Path, first_s: float, turn: int
) -> None:
    mouth = Mouth("drawl", Drawling(first_s), Voice())

    def change(stages: Stages) -> Stages:
        return replace(stages, mouths=(mouth,))

    async with calling(tmp_path, plain(tmp_path), change) as running:
        running.line.say(sound(0.6))
        await running.page.wait_for(Playing)
        running.line.say(silence(samples_in(300)))
        running.line.say(sound(1.2))
        cut = await running.page.wait_for(ReplyEnd)
        last = await running.page.wait_for(ReplyEnd, 2)
        said = [m.content for m in running.call.history if m.role == "user"]
    assert cut.interrupted
    assert (last.turn, last.interrupted) == (turn, False)
    assert bool(cut.heard) == (turn == 2)
    assert said == ([" ".join(SAID)] if turn == 1 else list(SAID))
