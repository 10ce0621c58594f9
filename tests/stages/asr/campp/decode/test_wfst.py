# ruff: noqa: E402 (what needs kaldi is imported after the test that it is there)
"""WFST decoding: words of a lexicon, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for package in ("kaldi_decoder", "kaldifst", "kaldilm"):
    pytest.importorskip(package, reason="needs kaldi: pip install 'firstword[wfst]'")

import anyio

from stages.asr.campp.decode.hypothesis import spelled
from stages.asr.campp.decode.tlg import Lexicon, NotALexicon, build
from stages.asr.campp.decode.wfst import open_wfst
from stages.asr.campp.decode.wfst_search import Rules, Search, TokenGraph, WordSpan
from stages.asr.campp.graph import Graph
from stages.asr.campp.options import CamppOptions
from stages.asr.campp.stage import open_campp
from stages.errors import Transient, Unusable, UserError
from stages.events import Audio, Hearing, Pause, Transcript, UtteranceStart
from stages.models import ModelStore
from tests.stages.asr.campp.conftest import TINY, noise
from tests.stages.streams import fed
from tests.told import told_by

TOKENS = ("<blank>", "a", "b", "c", "你", "好")
LEXICON = "ab a b\nabc a b c\nba b a\n你好 你 好\nsame a b\n"
ARPA = """\\data\\
ngram 1=7
ngram 2=2

\\1-grams:
-1.0 </s>
-99 <s> -0.1
-0.6 ab -0.3
-1.9 abc
-0.7 ba
-0.7 你好
-2.0 same

\\2-grams:
-0.1 <s> ab
-0.2 ab ba

\\end\\
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lexicon").write_text(LEXICON, "utf-8")
    (tmp_path / "lm.arpa").write_text(ARPA.replace(" ", "\t", 1), "utf-8")
    lexicon = Lexicon.read(tmp_path / "lexicon", TOKENS)
    assert build(TOKENS, 0, lexicon, tmp_path / "lm.arpa", tmp_path / "graph") > 10
    return tmp_path / "graph"


def peaks(best: list[int], width: int = len(TOKENS)) -> np.ndarray:
    log_probs = np.full((len(best), width), np.log(0.002), dtype=np.float32)
    log_probs[np.arange(len(best)), best] = np.log(0.99)
    return log_probs


SAID = [0, 1, 1, 0, 0, 2, 0, 0, 2, 1, 0, 4, 0, 5, 0, 0]
HEARD = [WordSpan("▁ab", 1, 5), WordSpan("▁ba", 8, 9), WordSpan("你好", 11, 13)]


@pytest.mark.parametrize("skip", [0.98, 1.0])
def test_words_come_with_their_frames_blanks_skipped_or_not(folder: Path, skip: float) -> None:
    search = Search(TokenGraph(folder, TOKENS), Rules(skip=skip))
    assert search.take(peaks(SAID)) == HEARD


def test_a_cut_or_a_look_changes_nothing(folder: Path) -> None:
    search, words = Search(TokenGraph(folder, TOKENS), Rules()), []
    for at in range(0, 16, 4):
        search.look(peaks([3, 3, 0]))
        words = search.take(peaks(SAID[at : at + 4]))
    assert words == HEARD
    assert search.look(peaks([1, 2])) == [*HEARD, WordSpan("▁ab", 16, 17)]
    assert search.look(peaks([])) == HEARD


def test_silence_has_no_words(folder: Path) -> None:
    assert Search(TokenGraph(folder, TOKENS), Rules()).take(peaks([0] * 9)) == []


def test_a_graph_for_other_tokens_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="built for a model with other tokens"):
        TokenGraph(folder, (*TOKENS, "d"))
    with pytest.raises(UserError, match="holds no graph by `firstword asr graph`"):
        TokenGraph(folder.parent, TOKENS)


def test_a_lexicon_with_a_strange_token_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "lexicon").write_text("ab a b\nxy x y\n", "utf-8")
    with pytest.raises(NotALexicon, match=r":2: 'xy': the model has no token 'x'"):
        Lexicon.read(tmp_path / "lexicon", TOKENS)


@pytest.fixture
def tiny_graph(tiny: Graph, tmp_path: Path) -> Path:
    """Return a graph over every token of the tiny model, each a word."""
    entries = tuple((token, (token,)) for token in tiny.tokens[2:])
    lines = "".join(f"-1.7\t{word}\n" for word, _ in entries)
    head = f"\\data\\\nngram 1={len(entries) + 2}\n\n\\1-grams:\n-1\t</s>\n-99\t<s>\n"
    (tmp_path / "lm.arpa").write_text(f"{head}{lines}\n\\end\\\n", "utf-8")
    build(tiny.tokens, 0, Lexicon(entries), tmp_path / "lm.arpa", tmp_path / "graph")
    return tmp_path / "graph"


@pytest.mark.timeout(60)
async def test_calls_decode_in_another_process(tiny_graph: Path, tmp_path: Path) -> None:
    options = CamppOptions.model_validate(
        {"model": str(TINY), "decode": "wfst", "graph": str(tiny_graph), "graph_beam": 8}
    )
    sound = noise(3)
    texts: dict[int, list[Transcript]] = {}

    async with open_campp(options, ModelStore(tmp_path)) as asr:

        async def call(index: int) -> None:
            pieces = [Audio(sound[at : at + 1600], at) for at in range(0, len(sound), 1600)]
            pauses = [Pause(1, 24_000)] if index else []
            events = [UtteranceStart(1, 0), *pieces[:15], *pauses, *pieces[15:], Pause(1, 48_000)]
            texts[index] = await fed(lambda a, b: asr.run(Hearing(), a, b), events)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, 0)
            tasks.start_soon(call, 1)
    assert len(texts[0][-1].text) > 3
    assert texts[1][-1].text == texts[0][-1].text
    for told in texts.values():
        partials = [one for one in told if not one.final]
        for index, one in enumerate(partials):
            for later in partials[index:]:
                assert later.text.startswith(one.text[: one.stable])


@pytest.mark.timeout(60)
async def test_a_process_that_dies_is_an_error_not_a_wait(tiny: Graph, tiny_graph: Path) -> None:
    options = CamppOptions.model_validate(
        {"model": "-", "decode": "wfst", "graph": str(tiny_graph), "graph_beam": 8}
    )
    with told_by("stages.asr.campp") as told:
        async with open_wfst(options, tiny) as make:
            decoder = make()
            assert spelled((await decoder.take(peaks([5, 0, 6], 60))).pieces) == "c d"
            decoder._worker.process.kill()
            with pytest.raises(Unusable, match="the process that decodes with WFST has ended"):
                await decoder.take(peaks([5, 0, 6], 60))
            decoder.close()
            with pytest.raises(Transient, match="are being started again"):
                make()
            await told.of("is there again")
            again = make()
            assert spelled((await again.take(peaks([5, 0, 6], 60))).pieces) == "c d"


async def test_wfst_without_a_graph_says_what_is_missing(tiny: Graph) -> None:
    options = CamppOptions(model="-", decode="wfst")
    with pytest.raises(UserError, match="needs `graph:`, a folder made by `firstword asr graph`"):
        async with open_wfst(options, tiny):
            pass
