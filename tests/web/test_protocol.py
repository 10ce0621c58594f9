"""What docs/protocol.md shows is what the agent says and reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from agent.messages import FromPage, ToPage, from_page, to_page

TEXT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
SAID, READ = (
    re.findall(r"```json\n(.+?)\n```", half, re.S) for half in TEXT.split("### From the page")
)


@pytest.mark.parametrize("example", SAID)
def test_an_example_from_the_agent_is_one_that_callers_can_read(example: str) -> None:
    assert to_page(example).type in example


@pytest.mark.parametrize("example", READ)
def test_an_example_from_the_page_is_one_that_the_agent_takes(example: str) -> None:
    assert from_page(example).type in example


def test_every_message_is_shown() -> None:
    assert {type(to_page(example)) for example in SAID} == set(get_args(ToPage))
    assert {type(from_page(example)) for example in READ} == set(get_args(FromPage))
