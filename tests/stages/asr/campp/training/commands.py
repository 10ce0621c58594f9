"""``firstword asr`` as a test calls it."""

from __future__ import annotations

import argparse

from stages.asr.campp import tools


def asr(*words: object) -> int:
    parser = argparse.ArgumentParser()
    tools.add(parser)
    return tools.run(parser.parse_args([str(word) for word in words]))
