"""``firstword asr partials``: words on the screen while a caller speaks, ours beside another's."""
