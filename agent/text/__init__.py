"""Text to clauses, for Chinese and English alike: pure, no I/O, no clock.

``cutter`` cuts a stream of text where a speaker would breathe, by what ``boundaries`` says of
each mark; ``speech`` says what of a clause is spoken: ``markup`` takes away what is only for
the eye, ``english`` and ``chinese`` write numbers, dates and the like as words.
"""

from agent.text.cutter import ClauseCutter
from agent.text.speech import spoken

__all__ = ["ClauseCutter", "spoken"]
