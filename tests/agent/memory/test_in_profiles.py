"""What a profile says about memory, and what is said when it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import ProfileError
from agent.profile import MemoryChoice, Shelf, json_schema, load
from agent.resources import folder

BASE = "extends: bare\nspeakers: spectrum\n"


def loaded(tmp_path: Path, text: str) -> MemoryChoice | None:
    file = tmp_path / "me.yaml"
    file.write_text(text)
    return Shelf((tmp_path, folder("profiles"))).load(file).memory


def test_nothing_is_remembered_unless_a_profile_says_so(tmp_path: Path) -> None:
    assert load("default").memory is None
    choice = loaded(tmp_path, f"{BASE}memory: {{turns: 3}}\n")
    assert choice is not None
    assert not choice.keep
    assert loaded(tmp_path, f"{BASE}memory: {{keep: true}}\n") == MemoryChoice(
        keep=True, turns=8, days=90, characters=2_400
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("extends: bare\nmemory: {keep: true}\n", "'memory' needs a section 'speakers'"),
        (f"{BASE}memory: {{keep: true, turns: 0}}\n", "me.yaml:3: 'memory.turns' should be"),
        (f"{BASE}memory: {{keep: true, days: 0}}\n", "me.yaml:3: 'memory.days' should be"),
        (f"{BASE}memory: {{characters: 9999}}\n", "me.yaml:3: 'memory.characters' should be"),
        (f"{BASE}memory: {{keep: perhaps}}\n", "me.yaml:3: 'memory.keep' should be a valid"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ProfileError) as refused:
        loaded(tmp_path, text)
    assert says in str(refused.value)


def test_editors_are_told_of_it() -> None:
    assert set(json_schema()["$defs"]["MemoryChoice"]["properties"]) == {
        "keep", "turns", "days", "characters",
    }  # fmt: skip
