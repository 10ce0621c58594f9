"""Character cards from elsewhere become profiles."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.__main__ import run
from agent.errors import ProfileError
from agent.profile import load
from agent.profile.tavern import LONGEST_PROMPT, profile_of, read_card

DATA: dict[str, Any] = {
    "name": "Captain Nemo",
    "description": "{{char}} commands the Nautilus. {{user}} is a guest. ${HOME} stays as it is.",
    "personality": "Proud.",
    "scenario": "At the bottom of the sea.",
    "first_mes": "*He turns from the glass.* Welcome aboard, {{user}}.",
    "mes_example": "<START>\n{{user}}: Where are we?\n{{char}}: Under the ice.\n"
    "<START>\n{{user}}: And now?\n{{char}}: Still under it.",
    "system_prompt": "{{original}} Stay in character.",
    "extensions": {"someone/else": {"depth": [1, 2, {"far": True}]}},
}
CARD = {"spec": "chara_card_v2", "spec_version": "2.0", "data": DATA}


def png(text: bytes, keyword: bytes = b"chara") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        whole = kind + body
        return struct.pack(">I", len(body)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\0\0\0")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"tEXt", keyword + b"\0" + text)
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIRSTWORD_PROFILES", str(tmp_path / "mine"))
    return tmp_path / "mine"


@pytest.mark.parametrize("kind", ["json", "png"])
def test_a_card_becomes_a_profile_that_can_be_called(
    tmp_path: Path, profiles: Path, kind: str
) -> None:
    text = json.dumps(CARD).encode()
    file = tmp_path / f"nemo.{kind}"
    file.write_bytes(text if kind == "json" else png(base64.b64encode(text)))
    assert run(["profiles", "import", str(file), "--extends", "bare"]) == 0
    nemo = load("captain-nemo")
    assert nemo.name == "Captain Nemo"
    assert nemo.greeting == "Welcome aboard, the caller.", "what is done is not said"
    assert nemo.persona_prompt.startswith("Stay in character.")
    assert "Captain Nemo commands the Nautilus. the caller is a guest." in nemo.persona_prompt
    assert "$ {HOME}" in nemo.persona_prompt, "a stranger's card reads no variable of ours"
    assert [(e.user, e.assistant) for e in nemo.examples] == [
        ("Where are we?", "Under the ice."),
        ("And now?", "Still under it."),
    ]
    nemo.check()
    kept = json.loads((profiles / "captain-nemo.card.json").read_text())
    assert kept == CARD, "extensions that nobody knows are kept"
    assert run(["profiles", "import", str(file), "--extends", "bare"]) == 2, "nothing is replaced"


def test_a_name_may_have_a_backslash_in_it(tmp_path: Path, profiles: Path) -> None:
    file = tmp_path / "wall.json"
    file.write_text(json.dumps({**CARD, "data": {**DATA, "name": "Wall\\E"}}))
    assert run(["profiles", "import", str(file), "--extends", "bare"]) == 0
    assert "Wall\\E commands the Nautilus." in load("wall-e").persona_prompt


def test_the_persona_is_bounded_and_what_was_left_out_is_said() -> None:
    card, _ = read_card(json.dumps(CARD | {"data": DATA | {"description": "x" * 99_999}}).encode())
    data, left_out = profile_of(card, "bare")
    assert len(data["persona_prompt"]) <= LONGEST_PROMPT
    assert "6000 were kept" in left_out[0]


def test_a_chinese_card_speaks_chinese() -> None:
    chinese = {"name": "小狐", "description": "一只住在山里的狐狸，喜欢讲故事，也喜欢喝茶。" * 2}
    card, _ = read_card(json.dumps(chinese).encode())
    assert profile_of(card, "bare")[0]["language"] == "zh-CN"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"{}", "'name' is wrong"),
        (b'{"data": {"name": 5}}', "'name' is wrong"),
        (b"[" * 100_000, "no JSON"),
        (png(b"?" * 10, b"other"), "holds no character card"),
        (png(b"AAAA"), "no JSON"),
        (png(b"A"), "no base64"),
        (b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXt", "holds no character card"),
        (b'"' + b"x" * 3_000_000 + b'"', "larger than 2 MiB"),
    ],
)
def test_what_is_no_card_is_refused_with_a_sentence(content: bytes, says: str) -> None:
    with pytest.raises(ProfileError, match=says):
        read_card(content)


@given(st.dictionaries(st.sampled_from([*DATA, "data"]), st.text(max_size=300)))
def test_any_text_in_a_card_makes_a_bounded_profile_or_a_sentence(fields: dict[str, str]) -> None:
    try:
        card, _ = read_card(json.dumps(DATA | fields).encode())
    except ProfileError:
        return
    data, _ = profile_of(card, "bare")
    assert "${" not in json.dumps(data)
    assert len(data.get("greeting", "")) <= 600
