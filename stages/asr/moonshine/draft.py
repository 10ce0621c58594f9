"""Tokens that are likely, because the same speech was heard a moment ago: checked in one go. Pure.

A decoder that is given ten tokens says what it would have said after each of them in about the
time that one takes; those that it would have said itself need not be said one by one. Speculative
decoding (Leviathan et al., 2023, arXiv:2211.17192) with the transcript before as the draft.
"""

from __future__ import annotations

from collections.abc import Sequence


def agreed(draft: Sequence[int], said: Sequence[int]) -> int:
    """Return how many tokens of the draft are right.

    Args:
        draft: the tokens.
        said: what the decoder says in place of each of them, and after the last.
    """
    for at, token in enumerate(draft):
        if said[at] != token:
            return at
    return len(draft)


def after(token: int, draft: Sequence[int]) -> list[int]:
    """Return what may follow a token that was said in place of the first of a draft.

    It stands for that one, or for several of them if it comes a little later in the draft.
    """
    for at in (1, 2):
        if draft[at : at + 1] == [token]:
            return list(draft[at + 1 :])
    return list(draft[1:])
