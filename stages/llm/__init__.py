"""Plug-ins of the llm stage: one file, or one folder, each."""
