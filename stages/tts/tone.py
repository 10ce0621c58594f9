"""A voice without a model: a soft tone, as long as the text would take to say."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import numpy as np
from pydantic import Field

from stages.audio import samples_in
from stages.contracts import Options, Plugin, Sink, Source, Tts
from stages.events import Clause, Samples, Speech, Voice, Word
from stages.models import ModelStore

PIECE_MS = 100
FADE_MS = 10
LOUDNESS = 0.1
_WORD = re.compile(r"[\u3040-\u9fff]|[^\s\u3040-\u9fff]+")


class ToneOptions(Options):
    """The settings of ``tone``."""

    first_ms: int = Field(0, ge=0, description="before the first sound of each clause")
    ms_per_character: int = Field(60, ge=1, le=1000, description="of sound, at a voice rate of 1")
    hertz: int = Field(24_000, ge=8_000, le=48_000, description="Hz of the sound")
    frequency: float = Field(220.0, ge=50, le=2_000, description="Hz of the tone, pitch 0")


class ToneTts:
    """Hums each clause; the voice's rate, pitch and volume all work."""

    def __init__(self, options: ToneOptions) -> None:
        self._options = options

    async def run(self, voice: Voice, source: Source[Clause], sink: Sink[Speech]) -> None:
        """Send each clause in pieces of 100 ms; cancelling ends it at once, waits included."""
        async with sink:
            async for clause in source:
                await anyio.sleep(self._options.first_ms / 1000)
                for speech in self._hum(voice, clause):
                    await sink.send(speech)

    def _hum(self, voice: Voice, clause: Clause) -> Iterator[Speech]:
        rate = self._options.hertz
        a_character = max(samples_in(self._options.ms_per_character / voice.rate, rate), 1)
        length, piece = len(clause.spoken) * a_character, samples_in(PIECE_MS, rate)
        words = [
            Word(found.group(), found.start() * a_character, found.end() * a_character)
            for found in _WORD.finditer(clause.spoken)
        ]
        for start in range(0, length, piece):
            end = min(start + piece, length)
            yield Speech(
                clause.number,
                self._tone(voice, np.arange(start, end), length),
                rate,
                last=end == length,
                words=tuple(word for word in words if start <= word.start < end),
            )

    def _tone(self, voice: Voice, at: np.typing.NDArray[np.int64], length: int) -> Samples:
        """Return the tone at these samples; it begins at full loudness and fades at its end."""
        hertz = max(self._options.frequency + voice.pitch, 20.0)
        fade = np.clip((length - at) / samples_in(FADE_MS, self._options.hertz), 0, 1)
        wave = np.cos(2 * np.pi * hertz / self._options.hertz * at) * fade
        tone: Samples = np.clip(wave * LOUDNESS * voice.volume, -1, 1).astype(np.float32)
        return tone


@asynccontextmanager
async def _open(options: ToneOptions, store: ModelStore) -> AsyncIterator[ToneTts]:
    yield ToneTts(options)


plugin: Plugin[Tts] = Plugin(ToneOptions, _open)
