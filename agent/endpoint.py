"""How long a silence must be before the caller's turn is over: evidence in, milliseconds out.

No single clue decides. An acoustic turn detector is a hint and not a gate (it calls half of all
pauses inside sentences complete), the words say when a sentence hangs in the air, a recogniser's
comma says that it expects more, one word alone is often the beginning of several, and callers
who make long pauses inside their sentences will make another. Clues add up to a doubt, and the
doubt places the wait in a narrow range: what is only doubtful must not wait much longer than a
timer would. Only what is all but sure to go on waits for the cap. What each clue is worth was
measured on human speech: see docs/turn-taking.md. Pure: no clock, no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from agent.turn_settings import TurnSettings


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILLERS = _words("um uh uhm umm er erm hmm hm mm ah eh 嗯 呃")
"""Hesitations. They make a turn doubtful and no more: recognisers write them for the ends of
words, too, and said alone some are an answer."""

OPENINGS = _words("so well 那 那么 请问")
"""What opens a turn, and is hardly ever all of it."""

GREETINGS = _words("hello hi hey 你好 您好 喂")
"""What opens a turn, and may be all of it: half way to the longest wait."""

ASKED = 0.9
"""A turn detector's probability from which "Hello?" is taken for the question whether anybody is
there."""

CALLING = _words("hey ok okay hello hi")
"""With a name after them they call somebody: "Hey Robin" is as good as one word alone."""

SURE = 0.85
"""How sure a recogniser is of a comma after which more comes: none of 747 ends of turns had one,
and 29 of 793 pauses inside them (``dev``, and every third of ``s2i`` and twelfth of ``so``)."""
SPEAKING = 4
"""Words that a sure comma takes; nearly all of those pauses had as many. In a call a "Two people,"
was heard like that, and was all of it."""

OPEN_EN = _words("a an the and or but because if my your our their and/or")
"""Words on which no English sentence ends, not even a question."""

HANGING_EN = OPEN_EN | _words(
    "when while which who whose of to for from with at into i'm i we they it's is are was were am"
    " be been can could would should very really than as then"
)
"""Words on which an English sentence seldom ends, unless it is a question: "who is it for?"."""

HANGING_ZH = re.compile(
    r"(?:然后|但是|因为|所以|如果|就是|那个|这个|还有|或者|以及|而且|的话"
    r"|(?<!暖)和|跟|把|被|给|(?<![现实存])在|(?<=[^不])是)$"
)
"""Endings on which a Chinese sentence seldom ends: "的" is none of them (好的, 是的, 我的)."""

NEEDS_MORE = re.compile(
    r"(?:(?:please|so|well|and|okay|ok|hi|hello|hey) )*"
    r"(?:(?:can|could|may|will|would|do|did) (?:i|we|you)(?: please)?"
    r"(?: (?:have|get|give|give me|tell me|show me|make|set|turn|want))?"
    r"|(?:i|we) (?:want|need|would like|'d like|am looking for)|i'd like|i'm looking for"
    r"|(?:tell|show|give|get|remind|bring|help) me|(?:what|who|where|how) (?:is|are|about)"
    r"|(?:what|who|where)'s|(?:is|are) there)"
)
NEEDS_MORE_ZH = re.compile(
    r"请?(?:帮我|给我|告诉我|我想|我要|我想要|我需要|能不能|可不可以|可以帮我|麻烦你)"
)
"""Whole utterances that ask for something and have not said what."""

DIGITS = _words("zero oh one two three four five six seven eight nine double triple")
DICTATED = 3
"""Digits in a row that make a dictation: "six thirty" is a time of day, "ninety two" a number."""

_E_ZH = re.compile(r"(?:^|[\s,，。、])额+$")  # in 金额 and 余额 it is no hesitation
_BREAKS = re.compile(r"[\s.…,，、\-—。!！]+")
_DICTATED_ZH = re.compile(r"(?:[零〇一二两三四五六七八九幺]{3,}|(?<=[\u3400-\u9fff])\d{3,})$")
_DICTATED_HYPHENS = re.compile(r"-\d(?:-\d)+$")  # "902-1-0" is how a recogniser may write them
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff](?:[\w'’](?<![\u3400-\u9fff]))*")


class Clues(NamedTuple):
    """What makes it likely that more comes, and what that adds to the doubt."""

    detector: float = 0.5  # how sure it is that more comes, squared: a little doubt is none
    comma: float = 0.65  # at the end
    alone: float = 0.65  # one word, or a call and a name
    hesitation: float = 1.0  # at the end
    question: float = -0.15


WORTH = Clues()
"""``firstword bench endpoint --fit`` says what they are worth on other recordings."""

PAUSE_MS = 200.0
"""Shorter silences are no pauses; everybody makes them."""
HABIT, ALLOWED = 3, 0.6
"""So many pauses make a habit, and a turn waits for so much of the usual one at least: all of it
would make every end as slow as the pauses are."""

LEARNED_MS = ((0.0, 0.0), (0.0, 240.0), (300.0, 480.0))
"""What is added to ``confident_ms`` and ``doubtful_ms`` for who was not cut into lately, was once,
and was more often. Pauses shorter than the wait teach little: who makes longer ones is cut into,
again and again. Once may be chance, so it costs only what is doubtful."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at a pause."""

    complete: float | None = None  # the turn detector's probability; none: not judged (yet)
    text: str | None = None  # final transcript of the utterance; none: not there yet
    inner_pauses_ms: tuple[float, ...] = ()  # pauses the caller made inside turns of this call
    endpoint: bool = False  # the recogniser's own rules say that the utterance is over
    goes_on: float | None = None  # how sure the recogniser is of the comma at the end
    cuts: int = 0  # how often the caller was cut into lately


def patience_ms(settings: TurnSettings, evidence: Evidence) -> float:
    """Return the silence, in milliseconds, after which the turn is over.

    It lies between ``confident_ms`` and ``doubtful_ms`` by the doubt there is, grows with the
    caller's own rhythm, and is ``cap_ms`` for a sentence that hangs in the air; half way there
    after a greeting, or a comma that the recogniser is sure of. It is ``confident_ms`` where the
    recogniser has heard the end: its silence was long already. Who was cut into is given more of
    both.
    """
    confident, doubtful = _range(settings, evidence.cuts)
    if evidence.endpoint:
        return confident
    if evidence.text is not None and hangs(evidence.text):
        return float(settings.cap_ms)
    if _surely_goes_on(evidence) or _only_greets(evidence.text or "", evidence.complete):
        return (doubtful + settings.cap_ms) / 2
    wait = confident + (doubtful - confident) * doubt(evidence)
    return max(wait, min(doubtful, _rhythm(evidence)))


def _range(settings: TurnSettings, cuts: int) -> tuple[float, float]:
    """Return the waits for what is sure and for what is not, for who was cut into so often."""
    more = LEARNED_MS[min(cuts, len(LEARNED_MS) - 1) if settings.learn else 0]
    confident = min(settings.cap_ms, settings.confident_ms + more[0])
    return confident, min(settings.cap_ms, settings.doubtful_ms + more[1])


def hangs(text: str) -> bool:
    """Tell whether the words so far break off: a conjunction, an opening, digits in dictation.

    Recognisers put a full stop after anything, so a full stop says nothing here.
    """
    marked = text.strip()
    plain = _plain(marked)
    if not plain:
        return False
    if marked.endswith(("...", "…", "、", "-", "—")) or dictating(plain):
        return True
    if _is_only(OPENINGS, marked):
        return True
    words = _tokens(plain)
    if words == ["a"]:  # a letter, or what a recogniser makes of the end of a word
        return False
    last = words[-1:]
    if marked.endswith(("?", "!", "？", "！", "。")):
        return last != [] and last[0] in OPEN_EN
    if NEEDS_MORE.fullmatch(" ".join(words)) or NEEDS_MORE_ZH.fullmatch("".join(words)):
        return True
    return bool(HANGING_ZH.search(plain)) or (last != [] and last[0] in HANGING_EN)


def dictating(text: str) -> bool:
    """Tell whether a number is being dictated: three digits or more at the end, one by one."""
    tail = _tokens(text)[-DICTATED:]
    said = len(tail) == DICTATED and all(_is_digit(one) for one in tail)
    return said or bool(_DICTATED_ZH.search(text) or _DICTATED_HYPHENS.search(_plain(text)))


def doubt(evidence: Evidence) -> float:
    """Return 0 (all says: done) to 1 (it may well go on)."""
    if evidence.text is None:
        return 0.5 + WORTH.detector * clues(evidence).detector
    found = sum(worth * there for worth, there in zip(WORTH, clues(evidence), strict=True))
    return min(1.0, max(0.0, found))


def clues(evidence: Evidence) -> Clues:
    """Return how much of each clue there is, from 0 to 1."""
    text = (evidence.text or "").strip()
    words = _tokens(_plain(text))
    return Clues(
        detector=0.5 if evidence.complete is None else (1 - evidence.complete) ** 2,
        comma=text.endswith((",", "，")),
        alone=len(words) < 2 or (len(words) == 2 and words[0] in CALLING),
        hesitation=_hesitates(_plain(text), words),
        question=text.endswith(("?", "？")),
    )


def same_words(text: str, other: str) -> bool:
    """Tell whether two transcripts have the same words, however they are marked."""
    return _tokens(text) == _tokens(other)


def _plain(text: str) -> str:
    return text.strip().rstrip(".…,，、-— 。?？!！")


def _is_only(kind: frozenset[str], text: str) -> bool:
    """Tell whether a text has only words of a kind, and does not ask with them."""
    words = [one for one in _BREAKS.split(text.lower()) if one]
    return words != [] and kind.issuperset(words)


def _surely_goes_on(evidence: Evidence) -> bool:
    """Tell whether there is a comma at the end that the recogniser is sure of."""
    sure = evidence.goes_on is not None and evidence.goes_on >= SURE
    return sure and len(_tokens(evidence.text or "")) >= SPEAKING


def _only_greets(text: str, complete: float | None) -> bool:
    """Tell whether a text is a greeting and no more; "Hello?" is more if it sounds like it.

    Recognisers put that mark after a "Hello" that a name follows, too.
    """
    sounds_asked = complete is not None and complete >= ASKED
    return _is_only(GREETINGS, text if sounds_asked else text.rstrip("?？"))


def _hesitates(plain: str, words: list[str]) -> bool:
    """Tell whether it ends in a hesitation, and not in the half of an "mm-hmm"."""
    hums = words[-1:] != [] and words[-1] in FILLERS and words[-2:-1] != ["mm"]
    return hums or bool(_E_ZH.search(plain))


def _is_digit(word: str) -> bool:
    return word in DIGITS or (len(word) == 1 and word.isdigit())


def _tokens(text: str) -> list[str]:
    """Return the words of a text, in lower case; each Han character counts as one."""
    return [one.lower() for one in _TOKEN.findall(text)]


def _rhythm(evidence: Evidence) -> float:
    """Return what this caller's own pauses ask for; few say little."""
    pauses = sorted(pause for pause in evidence.inner_pauses_ms if pause >= PAUSE_MS)
    if len(pauses) < HABIT:
        return 0.0
    usual = pauses[(3 * len(pauses)) // 4]
    return usual * ALLOWED
