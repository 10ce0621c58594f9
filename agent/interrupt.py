"""Which words take the word, and which only say "I am listening". Pure."""

from __future__ import annotations

import re

_EN = (
    "mm mmm hm hmm mhm mm-hm mm-hmm mmhmm uh-huh uhhuh um yeah yep yes ok okay right sure"
    " ah oh wow"
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
_PUNCTUATION = re.compile(r"[^\w\s'-]+")


def is_backchannel(text: str) -> bool:
    """Tell whether words said over a reply (or none at all) leave it the word."""
    plain = _PUNCTUATION.sub(" ", text.lower()).split()
    if not plain or " ".join(plain) in _PHRASES:
        return True
    if len(plain) <= 3 and all(word in BACKCHANNELS for word in plain):
        return True
    joined = "".join(plain)
    return len(joined) <= LONGEST_ZH and _NODS_ZH.fullmatch(joined) is not None
