"""Plug-ins of the vad stage: one file, or one folder, each."""
