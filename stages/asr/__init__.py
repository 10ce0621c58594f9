"""Plug-ins of the asr stage: one file, or one folder, each."""
