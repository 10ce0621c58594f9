"""Latency reports: where the time of many turns went, in figures, pictures and plain sentences.

    select     which turns: from the store, or from a file
    figures    percentiles a stage and in total, by profile, engine and day      (pure)
    compare    two selections side by side, and what can be said of them         (pure)
    budget     what may not take longer, for CI
    pictures   SVG, made here: distributions, trends, waterfalls                 (pure)
    page       one HTML file that needs nothing else
    tables     the terminal, CSV

Two kinds of honesty run through all of it. Turns that were measured differently (in the ear; to
the first sample that left us; from typed text) are never put into one percentile. And the mean
of each span is taken over the same turns as the mean of the whole, so that the column adds up;
percentiles do not add up, and are not shown as if they did.
"""

from __future__ import annotations

from agent.report.budget import Budget
from agent.report.compare import Comparison, compare
from agent.report.figures import Figures, summarise
from agent.report.select import Selection, select

__all__ = ["Budget", "Comparison", "Figures", "Selection", "compare", "select", "summarise"]
