"""How long a silence must be before the caller's turn is over: evidence in, milliseconds out.

No single clue decides. An acoustic turn detector is a hint and not a gate (it calls about half
of all mid-sentence cuts complete), the words say when a sentence hangs in the air, and callers
who make long pauses inside their sentences will make another. Pure: no clock, no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.turn_settings import TurnSettings


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HANGING_EN = _words(
    "a an the and or but so because if when while that which who whose of to for from with at by"
    " in on into about my your his her our their its is are was were am be been i'm i we you he"
    " she they it's can could would should will not very really just like than as then also"
    " please need want"
)
"""Words on which an English sentence seldom ends."""

FILLERS = _words("um uh uhm umm er erm hmm hm mm well ah eh")
HANGING_ZH = re.compile(
    r"(?:然后|但是|因为|所以|如果|就是|那个|这个|还有|或者|以及|而且|的话"
    r"|嗯+|呃+|额+|(?<!暖)和|跟|把|被|给|(?<![现实存])在|(?<!不)是)$"
)
"""Endings on which a Chinese sentence seldom ends: "的" is none of them (好的, 是的, 我的)."""
NUMBER_WORDS = _words(
    "zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty"
    " ninety hundred thousand double triple point"
)
_DIGIT_ZH = r"零〇一二两三四五六七八九十百千万\d"
_NUMERAL_ZH = re.compile(f"[{_DIGIT_ZH}点]+[{_DIGIT_ZH}]$")
_TOKEN = re.compile(r"[\w'’]+")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known at a pause."""

    complete: float | None = None  # the turn detector's probability; none: not judged (yet)
    text: str | None = None  # final transcript of the utterance; none: not there yet
    inner_pauses_ms: tuple[float, ...] = ()  # pauses the caller made inside turns of this call


def patience_ms(settings: TurnSettings, evidence: Evidence) -> float:
    """Return the silence, in milliseconds, after which the turn is over.

    It lies between ``confident_ms`` and ``doubtful_ms`` by how complete the turn sounds, is
    ``cap_ms`` for a sentence that hangs in the air, and grows with the caller's own rhythm.
    """
    if evidence.text is not None and hangs(evidence.text):
        return float(settings.cap_ms)
    sure = _sureness(evidence)
    wait = settings.doubtful_ms + (settings.confident_ms - settings.doubtful_ms) * sure
    return float(min(settings.cap_ms, max(wait, _rhythm(settings, evidence, sure))))


def hangs(text: str) -> bool:
    """Tell whether the words so far break off: a conjunction, a hesitation, digits in dictation."""
    stripped = text.strip().rstrip(".…,，、-— ")
    if not stripped or text.rstrip().endswith(("...", "…", ",", "，", "、", "-", "—")):
        return bool(stripped)
    if HANGING_ZH.search(stripped):
        return True
    words = [word.lower() for word in _TOKEN.findall(stripped)]
    if not words or text.rstrip().endswith(("?", "!", "？", "！", "。")):
        return False
    return words[-1] in FILLERS or words[-1] in HANGING_EN or dictating(stripped)


def dictating(text: str) -> bool:
    """Tell whether a number is being dictated: two numerals or more at the end."""
    words = [word.lower() for word in _TOKEN.findall(text)]
    tail = words[-2:]
    return (
        len(tail) == 2 and all(word.isdigit() or word in NUMBER_WORDS for word in tail)
    ) or bool(_NUMERAL_ZH.search(text))


def _sureness(evidence: Evidence) -> float:
    """Return 0 (it may well go on) to 1 (all says: done)."""
    sounds = 0.5 if evidence.complete is None else evidence.complete
    if evidence.text is None:
        return 0.5 * sounds
    if evidence.text.rstrip().endswith(("?", "？")):
        return max(sounds, 0.8) if sounds >= 0.3 else 0.6
    return sounds


def _rhythm(settings: TurnSettings, evidence: Evidence, sure: float) -> float:
    """Return what this caller's own pauses ask for; one long pause asks for little."""
    pauses = sorted(evidence.inner_pauses_ms)
    if len(pauses) < 2:
        return 0.0
    usual = pauses[(3 * len(pauses)) // 4]
    return float(min(usual * 1.25, settings.doubtful_ms) * (1 - 0.5 * sure))
