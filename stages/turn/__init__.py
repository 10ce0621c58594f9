"""Plug-ins of the turn stage: one file, or one folder, each."""
