"""Which words take the word, and which only say "I am listening". Pure."""

from __future__ import annotations

import re

SURE = 0.8
"""Probability that speech nearly always reaches; coughs and knocks do for moments only."""
ORDER_MS = 96
"""Of sure speech for "stop" and its like, and for a word that could be a nod at nothing."""
KNOCK_MS = 96
"""A sound that held a reply and was too short for an utterance is over after that."""

_EN = (
    "mm mmm hm hmm mhm mm-hm mm-hmm mmhmm uh-huh uhhuh um yeah yep yes ok okay right sure ah oh wow"
)
_ZH = "嗯 哼 哦 噢 喔 啊 对 是 是的 好 好的 行"
BACKCHANNELS = frozenset((*_EN.split(), *_ZH.split()))
"""Single words (and their repetitions) that a listener says without wanting the word.

The set follows the continuers and assessments that conversation analysis names (Schegloff 1982,
"Discourse as an interactional achievement"), in the spellings that our recognisers write.
"""

_PHRASES = frozenset({"i see", "got it", "go on", "uh huh", "mm hm", "mm hmm", "all right"})
_NODS_ZH = re.compile(f"(?:{'|'.join(_ZH.split())})+")
LONGEST_ZH = 6
"""Characters of Chinese nods in a row (some recognisers write spaces between them, some do not)."""
_SOUNDS_ZH = re.compile("[嗯哼哦噢喔啊]+")
_HUM = re.compile(r"[mhau'-]+")
"""How recognisers spell a hum or a laugh: "mamma", "aha", "hahaha"."""
_ORDERS_EN = {"hang on", "hold on", "stop", "wait", "no", "quit", "quiet", "cancel", "enough"}
_ORDERS = frozenset(_ORDERS_EN | {"停", "停下", "等等", "等一下", "不", "够了", "别说了", "安静"})
_PUNCTUATION = re.compile(r"[^\w\s'-]+")


def is_backchannel(text: str) -> bool:
    """Tell whether words said over a reply (or none at all) leave it the word."""
    plain = _PUNCTUATION.sub(" ", text.lower()).split()
    if not plain or " ".join(plain) in _PHRASES:
        return True
    if len(plain) <= 3 and all(map(_is_nod, plain)):
        return True
    joined = "".join(plain)
    return len(joined) <= LONGEST_ZH and _NODS_ZH.fullmatch(joined) is not None


def is_hum(text: str) -> bool:
    """Tell whether there is no word in this: then it adds nothing to what was said before."""
    plain = _PUNCTUATION.sub(" ", text.lower()).split()
    return all(w == "oh" or _HUM.fullmatch(w) or _SOUNDS_ZH.fullmatch(w) for w in plain)


def is_order(text: str) -> bool:
    """Tell whether words ask the other to be silent: they need no weight to be believed."""
    plain = _PUNCTUATION.sub(" ", text.lower()).split()
    return " ".join(plain) in _ORDERS or (bool(plain) and _ORDERS.issuperset(plain))


def _is_nod(word: str) -> bool:
    return word in BACKCHANNELS or _HUM.fullmatch(word) is not None
