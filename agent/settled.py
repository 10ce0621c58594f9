"""What is loaded for good is not looked through again: no call waits for the garbage collector."""

from __future__ import annotations

import gc


def settle() -> None:
    """Take everything that lives now out of the garbage collector's sight.

    A full collection walks through every object there is, modules and models included, while all
    calls stand still. What was loaded before the first call lives as long as the process anyway.
    """
    gc.collect()
    gc.freeze()
