"""How long a silence must be before the caller's turn is over: evidence in, milliseconds out.

No single clue decides. An acoustic turn detector is a hint and not a gate (it calls half of all
pauses inside sentences complete), the words say when a sentence hangs in the air, a recogniser's
comma says that it expects more, one word alone is often the beginning of several, and callers
who make long pauses inside their sentences will make another. What each clue is worth was
measured on human speech: see docs/turn-taking.md. Pure: no clock, no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.turn_settings import TurnSettings


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILLERS = _words("um uh uhm umm er erm hmm hm mm ah eh")
OPEN_EN = FILLERS | _words("a an the and or but because if my your our their and/or")
"""Words on which no English sentence ends, not even a question."""

HANGING_EN = OPEN_EN | _words(
    "when while which who whose of to for from with at into i'm i we they it's is are was were am"
    " be been can could would should very really than as then"
)
"""Words on which an English sentence seldom ends, unless it is a question: "who is it for?"."""

HANGING_ZH = re.compile(
    r"(?:然后|但是|因为|所以|如果|就是|那个|这个|还有|或者|以及|而且|的话"
    r"|嗯+|呃+|额+|(?<!暖)和|跟|把|被|给|(?<![现实存])在|(?<!不)是)$"
)
"""Endings on which a Chinese sentence seldom ends: "的" is none of them (好的, 是的, 我的)."""

NUMBER_WORDS = _words(
    "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty"
    " ninety hundred double triple point"
)
DICTATED = 3
"""Numerals in a row that make a dictation: "six thirty" is a time of day."""
_DICTATED_ZH = re.compile(r"[零〇一二两三四五六七八九幺\d]{3,}$")
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff](?:[\w'’](?<![\u3400-\u9fff]))*")

COMMA, ALONE, QUESTION = 0.3, 0.2, 0.5
"""What a comma at the end, or one word alone, leaves of a detector's opinion; and the least that
a question is believed."""
PAUSE_MS = 200.0
"""Shorter silences are no pauses; everybody makes them."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at a pause."""

    complete: float | None = None  # the turn detector's probability; none: not judged (yet)
    text: str | None = None  # final transcript of the utterance; none: not there yet
    inner_pauses_ms: tuple[float, ...] = ()  # pauses the caller made inside turns of this call
    endpoint: bool = False  # the recogniser's own rules say that the utterance is over


def patience_ms(settings: TurnSettings, evidence: Evidence) -> float:
    """Return the silence, in milliseconds, after which the turn is over.

    It lies between ``confident_ms`` and ``doubtful_ms`` by how complete the turn seems, is
    ``cap_ms`` for a sentence that hangs in the air, and grows with the caller's own rhythm. It
    is ``confident_ms`` where the recogniser has heard the end: its silence was long already.
    """
    if evidence.endpoint:
        return float(settings.confident_ms)
    if evidence.text is not None and hangs(evidence.text):
        return float(settings.cap_ms)
    sure = sureness(evidence)
    wait = settings.doubtful_ms + (settings.confident_ms - settings.doubtful_ms) * sure
    return float(min(settings.cap_ms, max(wait, _rhythm(settings, evidence, sure))))


def hangs(text: str) -> bool:
    """Tell whether the words so far break off: a conjunction, a hesitation, digits in dictation.

    Recognisers put a full stop after anything, so a full stop says nothing here.
    """
    marked = text.strip()
    plain = marked.rstrip(".…,，、-— 。?？!！")
    if not plain:
        return False
    if marked.endswith(("...", "…", "、", "-", "—")) or dictating(plain):
        return True
    words = _tokens(plain)
    if marked.endswith(("?", "!", "？", "！", "。")):
        return words[-1:] != [] and words[-1] in OPEN_EN
    return bool(HANGING_ZH.search(plain)) or (words[-1:] != [] and words[-1] in HANGING_EN)


def dictating(text: str) -> bool:
    """Tell whether a number is being dictated: three numerals or more at the end."""
    tail = _tokens(text)[-DICTATED:]
    said = len(tail) == DICTATED and all(one.isdigit() or one in NUMBER_WORDS for one in tail)
    return said or bool(_DICTATED_ZH.search(text))


def sureness(evidence: Evidence) -> float:
    """Return 0 (it may well go on) to 1 (all says: done)."""
    sure = 0.5 if evidence.complete is None else evidence.complete
    if evidence.text is None:
        return 0.5 * sure
    text = evidence.text.strip()
    if text.endswith(("?", "？")):
        sure = max(sure, QUESTION)
    elif text.endswith((",", "，")):
        sure *= COMMA
    return sure * ALONE if len(_tokens(text)) < 2 else sure


def _tokens(text: str) -> list[str]:
    """Return the words of a text, in lower case; each Han character counts as one."""
    return [one.lower() for one in _TOKEN.findall(text)]


def _rhythm(settings: TurnSettings, evidence: Evidence, sure: float) -> float:
    """Return what this caller's own pauses ask for; one long pause asks for little."""
    pauses = sorted(pause for pause in evidence.inner_pauses_ms if pause >= PAUSE_MS)
    if len(pauses) < 2:
        return 0.0
    usual = pauses[(3 * len(pauses)) // 4]
    return float(min(usual * 1.25, settings.doubtful_ms) * (1 - 0.5 * sure))
