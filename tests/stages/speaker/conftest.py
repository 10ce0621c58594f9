"""The tiny models of FunASR's tests serve here too."""

from tests.stages.asr.funasr.conftest import tiny

__all__ = ["tiny"]
