"""The plug-in ``funasr``; importing it fails where FunASR cannot be found."""

from __future__ import annotations

import os
from importlib.util import find_spec

from stages.asr.funasr.names import PYTHON
from stages.asr.funasr.options import FunasrOptions, models_of
from stages.asr.funasr.stage import open_funasr
from stages.contracts import Asr, Plugin

if not os.environ.get(PYTHON) and find_spec("funasr") is None:
    raise ImportError(f"the package funasr is not installed, and {PYTHON} names no other Python")

plugin: Plugin[Asr] = Plugin(FunasrOptions, open_funasr, models_of)
