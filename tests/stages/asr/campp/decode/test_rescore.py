from __future__ import annotations

from functools import partial

import numpy as np

from stages.asr.campp.decode.hypothesis import spelled
from stages.asr.campp.decode.ngram import NGram
from stages.asr.campp.decode.prefix_beam import PrefixBeam, Rules
from stages.asr.campp.decode.rescore import rescored
from stages.threads import Workers

TOKENS = ("<blank>", "a", "b")

PREFERS_B = NGram({("a",): (-5.0, 0.0), ("b",): (-0.1, 0.0)}, 1)

UNSURE = np.log(np.array([[0.1, 0.5, 0.4], [0.9, 0.05, 0.05]], dtype=np.float32))
"""It sounds a little more like "a"."""


async def test_partials_say_what_it_sounds_like_and_the_final_what_is_likelier_said() -> None:
    weigh = partial(rescored, model=PREFERS_B, weight=1.0, length_bonus=0.0)
    decoder = PrefixBeam(Rules(TOKENS), Workers(1), weigh)

    shown = await decoder.take(UNSURE)
    final = await decoder.look(np.zeros((0, 3), np.float32))

    assert spelled(shown.pieces) == "a"
    assert spelled(final.pieces) == "b"


async def test_a_final_that_is_not_the_last_leaves_the_search_as_it_was() -> None:
    weigh = partial(rescored, model=PREFERS_B, weight=1.0, length_bonus=0.0)
    decoder = PrefixBeam(Rules(TOKENS), Workers(1), weigh)
    await decoder.take(UNSURE)

    one = await decoder.look(np.zeros((0, 3), np.float32))
    again = await decoder.look(np.zeros((0, 3), np.float32))

    assert one == again
