"""What a character remembers of a known caller from one call to the next: docs/memory.md.

``record`` says what is kept and ``block`` what a model is told of it (both pure), ``store`` keeps
it sealed on disk, ``keeper`` writes and sums up beside the calls, ``recall`` is what one
connection knows.
"""
