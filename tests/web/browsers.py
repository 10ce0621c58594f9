"""Chromium as a caller: its microphone is a file."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from playwright.async_api import Browser, Page, async_playwright, expect

from stages.events import Samples
from tests.servers.programs import program

ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
ALLOW = "--use-fake-ui-for-media-stream"
DENY = "--deny-permission-prompts"
RATE = 48_000

expect.set_options(timeout=10_000)  # ms: the machine may be busy


@asynccontextmanager
async def chromium(
    *arguments: str, device: bool = True, microphone: Path | None = None
) -> AsyncIterator[Browser]:
    """Start Debian's Chromium with a false microphone, unless ``device`` is false.

    It beeps, or says once what is in the file ``microphone``.
    """
    found = program("chromium")
    extra = [*(arguments or (ALLOW,))]
    if device:
        extra.append("--use-fake-device-for-media-stream")
    if microphone:
        extra.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=found, args=[*ARGUMENTS, *extra]
        )
        try:
            yield browser
        finally:
            await browser.close()


async def opened(browser: Browser, address: str, locale: str = "en-GB") -> Page:
    """Open the page in a window of its own."""
    context = await browser.new_context(locale=locale)
    page = await context.new_page()
    page.set_default_timeout(8000)
    await page.goto(address)
    return page


def spoken(path: Path, *parts: tuple[float, float], tail: float = 3.0) -> Path:
    """Write a caller's speech: pairs of seconds silent, seconds of syllables."""
    pieces: list[Samples] = []
    for pause, speech in parts:
        pieces += [np.zeros(int(pause * RATE), np.float32), _babble(speech)]
    pieces.append(np.zeros(int(tail * RATE), np.float32))
    samples = (np.concatenate(pieces) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def _babble(seconds: float) -> Samples:
    """Harmonics that move like a voice's, so that noise suppression lets them through."""
    places = np.arange(int(seconds * RATE)) / RATE
    pitch = 140 + 25 * np.sin(2 * np.pi * 1.7 * places)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formant = 700 + 350 * np.sin(2 * np.pi * 2.3 * places)
    voice = np.zeros_like(places)
    for harmonic in range(1, 22):
        weight = np.exp(-(((harmonic * pitch - formant) / 420) ** 2)) + 0.25 / harmonic
        voice += weight * np.sin(harmonic * phase)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * places - 1.2)
    voice *= syllables
    samples: Samples = (0.5 * voice / np.abs(voice).max()).astype(np.float32)
    return samples
