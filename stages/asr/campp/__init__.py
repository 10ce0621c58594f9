"""The streaming recogniser ``campp``: many live calls, one batch. See docs/campp.md."""
