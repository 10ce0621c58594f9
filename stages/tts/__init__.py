"""Plug-ins of the tts stage: one file, or one folder, each."""
