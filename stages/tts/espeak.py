"""A robot's voice in a hundred languages, Chinese among them, by Debian's command ``espeak-ng``.

The program is GPL-3 and runs as a process of its own; nothing of it is in FirstWord. It needs no
network and 10 ms a clause: what a Chinese character can fall back to when the online voices refuse.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import numpy as np
from pydantic import Field

from stages.audio import samples_in
from stages.contracts import Options, Plugin, Sink, Source, Tts
from stages.errors import PluginUnavailable, Transient, Unusable, first_of
from stages.events import Clause, Samples, Speech, Voice
from stages.models import ModelStore

STAGE = "tts espeak"
NAME = re.compile(r"[a-z]{2,3}(-[\w-]+)?(\+\w+)?")
USUAL_VOICE = "cmn"
WORDS_A_MINUTE = 175
"""Its speed at a rate of 1."""
SLOWEST, FASTEST = 0.5, 2.5
LOUDEST = 2.0
PATIENCE_S = 5.0
"""Seconds for one clause."""
HEADER = 44
"""Bytes before the samples; their number in it is none, because it goes into a pipe."""
AUDIBLE = 0.002
LEAD_MS, TAIL_MS = 10, 120
"""Silence that is kept around a clause."""


class EspeakOptions(Options):
    """The settings of ``espeak``."""

    command: str = Field(default="espeak-ng", description="the program")


class EspeakTts:
    """Speaks by a process a clause."""

    def __init__(self, options: EspeakOptions) -> None:
        self._command = options.command

    async def run(self, voice: Voice, source: Source[Clause], sink: Sink[Speech]) -> None:
        """Send each clause at once; cancelling ends the program.

        Raises:
            Unusable: the voice cannot sound as asked.
            Transient: the program failed, or took too long.
        """
        async with sink:
            arguments = _arguments(voice)
            async for clause in source:
                samples, rate = await self.say(arguments, clause.spoken)
                await sink.send(Speech(clause.number, samples, rate, last=True))

    async def say(self, arguments: list[str], text: str) -> tuple[Samples, int]:
        """Return the sound of a text, and its rate.

        Raises:
            Unusable: the program has no such voice.
            Transient: it failed, or took too long.
        """
        command = [self._command, *arguments, "--stdin", "--stdout"]
        try:
            with anyio.fail_after(PATIENCE_S):
                done = await anyio.run_process(
                    command, input=text.encode(), stderr=subprocess.PIPE, check=False
                )
        except TimeoutError:
            raise Transient(STAGE, f"no sound after {PATIENCE_S:g} s") from None
        except OSError as error:
            raise Unusable(STAGE, f"{self._command} cannot be run ({error.strerror})") from error
        except BaseExceptionGroup as group:
            if not isinstance(first_of(group), anyio.BrokenResourceError):
                raise
            raise Transient(STAGE, f"{self._command} ended before it had the text") from None
        if done.returncode or len(done.stdout) < HEADER:
            said = (done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"])[-1]
            if "voice" in said:
                raise Unusable(STAGE, f"it has no such voice ({said})")
            raise Transient(STAGE, f"{self._command} failed, and said: {said}")
        rate = int.from_bytes(done.stdout[24:28], "little")
        pcm = np.frombuffer(done.stdout[HEADER : len(done.stdout) // 2 * 2], dtype="<i2")
        return _trimmed((pcm / 32768).astype(np.float32), rate), rate


def _arguments(voice: Voice) -> list[str]:
    """Return how the program is told of a voice.

    Raises:
        Unusable: it cannot sound so.
    """
    name = voice.name or USUAL_VOICE
    if not NAME.fullmatch(name):
        known = "they are like cmn, yue, en-us or cmn+f2"
        raise Unusable(STAGE, f"{name!r} is no voice of it: {known}")
    if not SLOWEST <= voice.rate <= FASTEST:
        raise Unusable(STAGE, f"a rate of {voice.rate} is not within {SLOWEST} to {FASTEST}")
    if voice.pitch:
        raise Unusable(STAGE, "it knows no pitch in Hz; choose another voice, like cmn+f2")
    if not 0 <= voice.volume <= LOUDEST:
        raise Unusable(STAGE, f"a volume of {voice.volume} is not within 0 to {LOUDEST:g}")
    speed, loudness = round(WORDS_A_MINUTE * voice.rate), round(100 * voice.volume)
    return ["-v", name, "-s", str(speed), "-a", str(loudness)]


def _trimmed(samples: Samples, rate: int) -> Samples:
    """Return a clause with little silence around it."""
    heard = np.flatnonzero(np.abs(samples) > AUDIBLE)
    if not len(heard):
        return samples[: samples_in(LEAD_MS, rate)]
    start = max(int(heard[0]) - samples_in(LEAD_MS, rate), 0)
    return samples[start : int(heard[-1]) + samples_in(TAIL_MS, rate)]


@asynccontextmanager
async def _open(options: EspeakOptions, store: ModelStore) -> AsyncIterator[EspeakTts]:
    if shutil.which(options.command) is None:
        reason = f"there is no program {options.command!r} here"
        hint = " On Debian: apt-get install espeak-ng"
        raise PluginUnavailable("tts", "espeak", reason, hint)
    yield EspeakTts(options)


plugin: Plugin[Tts] = Plugin(EspeakOptions, _open)
