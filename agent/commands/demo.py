"""``firstword demo``: a real call to an agent of one's own, and where its milliseconds went.

It brings the models of the profile, starts the server in a process of its own (so that caller
and agent do not share an event loop), calls it over WebRTC with a human recording and two
questions of a synthetic caller, and shows what ``firstword call`` shows.
"""

from __future__ import annotations

import argparse
import wave
from collections.abc import Sequence
from pathlib import Path

import anyio
import numpy as np
from rich.console import Console

from agent.caller import recording
from agent.commands import call as call_command
from agent.commands import models as models_command
from agent.engines import models_of, open_engines
from agent.folders import make_writable
from agent.profile import default_id, load
from agent.serving import own_agent
from stages.events import Clause, Samples, Speech
from stages.models import ModelStore

QUESTIONS = ("What is your name?", "What is the capital of France?")
READING_S = 9.0
"""How much of the human reading is said, at most: it is cut at the quietest spot before."""


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "--profile", metavar="ID", help=f"the character that answers (default: {default_id()})"
    )
    parser.add_argument(
        "--say",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="recordings of your own, one a turn (default: a reading and two questions)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("firstword-demo"),
        metavar="DIR",
        help="folder for the recordings and the result (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Bring, serve, call, show.

    Raises:
        NotPossible: a recording cannot be said, or nothing can be kept in the folder; that is
            told before anything is brought.
    """
    for file in options.say or ():
        recording(file)
    out = Console(stderr=options.json)
    profile = load(options.profile or default_id())
    make_writable(options.out)
    models_command.bring_missing(ModelStore(), models_of(profile), out)
    return anyio.run(_call, options, profile.id, backend_options={"use_uvloop": True})


async def _call(options: argparse.Namespace, profile: str) -> int:
    files = options.say or await recordings(options.out)
    async with own_agent(profile) as url:
        return await call_command.place(
            url, files, profile=profile, out=options.out, as_json=options.json
        )


# --- what is said ---------------------------------------------------------------------------


async def recordings(out: Path) -> list[Path]:
    """Write the human reading and the synthetic questions, and return their files in order."""
    store = ModelStore()
    reading = out / "caller-reading.wav"
    await anyio.to_thread.run_sync(_cut_reading, store.path("moonshine-tiny-en"), reading)
    return [reading, *await _questions(store, out)]


def _cut_reading(models: Path, target: Path) -> None:
    with wave.open(str(models / "two_cities.wav")) as source:
        rate = source.getframerate()
        count = min(source.getnframes(), round(READING_S * rate))
        samples = np.frombuffer(source.readframes(count), np.int16)
    if source.getnchannels() > 1:
        samples = samples[:: source.getnchannels()]
    _write(target, samples[: _quiet_spot(samples, rate)], rate)


def _quiet_spot(samples: np.ndarray, rate: int) -> int:
    """Return the middle of the quietest 200 ms in the last third: between two phrases."""
    width = rate // 5
    energy = np.convolve(np.square(samples.astype(np.float64)), np.ones(width), "valid")
    begin = 2 * len(samples) // 3
    return begin + int(np.argmin(energy[begin:])) + width // 2


async def _questions(store: ModelStore, out: Path) -> list[Path]:
    """Let the default profile's voice ask the questions."""
    profile = load(default_id())
    async with open_engines(store) as engines:
        mouth = (await engines.stages(profile)).mouths[0]
        files = []
        for number, text in enumerate(QUESTIONS, 1):
            clause_in, clause_out = anyio.create_memory_object_stream[Clause](1)
            speech_in, speech_out = anyio.create_memory_object_stream[Speech](8)
            async with clause_out, speech_out, anyio.create_task_group() as tasks:
                tasks.start_soon(mouth.tts.run, mouth.voice, clause_out, speech_in)
                await clause_in.send(Clause(0, text, text))
                await clause_in.aclose()
                pieces = [piece async for piece in speech_out]
            files.append(out / f"caller-question-{number}.wav")
            _write_speech(files[-1], pieces)
    return files


def _write_speech(target: Path, pieces: Sequence[Speech]) -> None:
    samples: Samples = np.concatenate([piece.samples for piece in pieces])
    _write(target, (samples * 32767).astype(np.int16), pieces[0].rate)


def _write(target: Path, samples: np.ndarray, rate: int) -> None:
    with wave.open(str(target), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
