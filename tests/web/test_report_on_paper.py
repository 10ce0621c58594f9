"""The report's file where there is little room: on a phone, and on paper, in a real Chromium."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Browser, Page

from agent.report import compare
from agent.report.page import comparison_page, page
from tests.agent.report.crowded import crowded

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60)]

PHONE = 360  # CSS pixels
PAPER = 717  # of an A4 sheet between Chromium's own margins
BARS = ("endpoint", "asr", "tool_choice", "tool", "llm", "clause", "tts", "playout", "ear")
KINDS = ["report", "comparison"]

OUTSIDE = """() => [...document.querySelectorAll("body *")]
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
  .map((element) => `${element.tagName}: ${element.textContent.slice(0, 40)}`)"""
"""What reaches over the right edge, though something around it may hide that."""

SCROLLED = """() => [...document.querySelectorAll(".wide")]
  .filter((box) => box.scrollWidth > box.clientWidth)
  .map((box) => box.textContent.slice(0, 60))"""
"""Tables that are read by pushing them to and fro."""

CROSSED = """() => [...document.querySelectorAll(".turns tr")]
  .filter((row) => {
    const [time, profile] = [...row.cells].map((cell) => {
      const text = document.createRange();
      text.selectNodeContents(cell);
      return text.getBoundingClientRect();
    });
    return time.right > profile.left && profile.width > 0 && time.bottom > profile.top;
  })
  .map((row) => row.textContent)"""
"""Turns whose time and profile are written over each other."""

BROKEN = """() => [...document.querySelectorAll(".turns td:first-child span")]
  .filter((part) => part.getClientRects().length !== 1).map((part) => part.textContent)"""
"""Dates and times that are broken over lines."""

FILL = "(name) => getComputedStyle(document.querySelector(`.s-${name}`)).fill"


def written(folder: Path, kind: str) -> str:
    """Write the file, with everything in it that may be; return its address."""
    a, b = crowded(), crowded("another-profile", slower_ms=300.0)
    sides = compare(a.records, b.records, (a.name, b.name))
    file = folder / f"{kind}.html"
    file.write_text(page(a) if kind == "report" else comparison_page(sides, a, b))
    return file.as_uri()


@asynccontextmanager
async def shown(
    browser: Browser,
    address: str,
    width: int,
    media: Literal["screen", "print"] = "screen",
    scheme: Literal["light", "dark"] = "light",
) -> AsyncIterator[Page]:
    """Show the file so wide, as such a medium, to somebody who likes it light or dark."""
    context = await browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    async with context:
        opened = await context.new_page()
        await opened.emulate_media(media=media)
        await opened.goto(address)
        yield opened


@pytest.mark.parametrize("kind", KINDS)
async def test_on_a_phone_nothing_has_to_be_pushed_to_and_fro(
    browser: Browser, tmp_path: Path, kind: str
) -> None:
    async with shown(browser, written(tmp_path, kind), PHONE) as small:
        assert await small.evaluate("document.documentElement.scrollWidth") == PHONE
        assert await small.evaluate(OUTSIDE) == []
        assert await small.evaluate(SCROLLED) == []
        assert await small.evaluate(CROSSED) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_on_paper_nothing_is_cut_off(browser: Browser, tmp_path: Path, kind: str) -> None:
    async with shown(browser, written(tmp_path, kind), PAPER, "print") as sheet:
        assert await sheet.evaluate("document.documentElement.scrollWidth") == PAPER
        assert await sheet.evaluate(OUTSIDE) == []
        assert await sheet.evaluate(SCROLLED) == []
        assert await sheet.evaluate(CROSSED) == []
        assert await sheet.evaluate(BROKEN) == []
        assert await sheet.locator("td span", has_text="2026-11-23").count() or kind != "report"


@pytest.mark.parametrize("kind", KINDS)
async def test_paper_is_white_though_the_screen_is_dark(
    browser: Browser, tmp_path: Path, kind: str
) -> None:
    colours = """(bars) => [
      getComputedStyle(document.body).backgroundColor,
      ...bars.map((name) => getComputedStyle(document.querySelector(`.s-${name}`)).fill),
    ]"""
    address = written(tmp_path, kind)
    async with shown(browser, address, PAPER, "print", "dark") as dark:
        printed = await dark.evaluate(colours, BARS)
    async with shown(browser, address, PAPER, "print", "light") as light:
        assert printed == await light.evaluate(colours, BARS)
    assert printed[0] == "rgb(255, 255, 255)"
    assert len(set(printed[1:])) == len(BARS)


@pytest.mark.parametrize("kind", KINDS)
async def test_bars_are_in_the_pdf_though_backgrounds_are_left_out(
    browser: Browser, tmp_path: Path, kind: str
) -> None:
    async with shown(browser, written(tmp_path, kind), PAPER) as screen:
        sheets = await screen.pdf(format="A4", print_background=False)
        await screen.emulate_media(media="print")
        colours = {name: await screen.evaluate(FILL, name) for name in BARS}
    for name, colour in colours.items():
        assert [int(part) for part in re.findall(r"\d+", colour)] in painted(sheets), name
    assert 2 <= sheets.count(b"/Type /Page\n") <= 12


def painted(pdf: bytes) -> list[list[int]]:
    """Return the colours that a PDF fills shapes with, as they are in style sheets: 0 to 255."""
    drawn = b""
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            drawn += zlib.decompress(stream)
        except zlib.error:  # a picture or a font in another coding
            continue
    found = set(re.findall(rb"([\d.]+) ([\d.]+) ([\d.]+) rg\b", drawn))
    return [[round(float(part) * 255) for part in colour] for colour in found]
