"""``firstword profiles``, as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.__main__ import BAD_INPUT, run


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the user's own folder, empty."""
    monkeypatch.setenv("FIRSTWORD_PROFILES", str(tmp_path / "profiles"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "profiles"


def test_a_new_profile_is_right_and_listed(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profiles", "new", "my-fox", "--extends", "bare"]) == 0
    assert run(["profiles", "validate", "my-fox"]) == 0
    assert "my-fox: right" in capsys.readouterr().out
    assert run(["profiles", "list"]) == 0
    assert any(
        line.split() == ["my-fox", "My", "Fox", "en", "yes"]
        for line in capsys.readouterr().out.splitlines()
    )


def test_a_profile_is_never_overwritten(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.mkdir()
    file = mine / "fox.yaml"
    file.write_text("extends: bare\n")
    assert run(["profiles", "new", "fox"]) == BAD_INPUT
    assert capsys.readouterr().err == (
        f"firstword: {file} is there already; edit it, or choose another id.\n"
    )
    assert file.read_text() == "extends: bare\n"


@pytest.mark.parametrize("folder", ["file", "file/below"])
def test_a_file_where_the_folder_of_profiles_should_be_is_told(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FIRSTWORD_PROFILES", str(tmp_path / folder))
    assert run(["profiles", "new", "fox"]) == BAD_INPUT
    assert capsys.readouterr().err == (
        f"firstword: {tmp_path / folder / 'fox.yaml'} cannot be written: {tmp_path / folder} is no"
        " folder; FIRSTWORD_PROFILES names the one of your profiles.\n"
    )


def test_an_id_cannot_lead_out_of_the_folder(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profiles", "new", "../fox"]) == BAD_INPUT
    assert "'../fox' is no id" in capsys.readouterr().err
    assert not mine.exists()


def test_validate_says_what_is_wrong_and_exits_2(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine.mkdir()
    (mine / "bad.yaml").write_text("extends: bare\ngreting: hi\n")
    assert run(["profiles", "validate", "bare", "bad", str(mine / "none.yaml")]) == BAD_INPUT
    out = capsys.readouterr().out
    assert "bare: right\n" in out
    assert f"bad: {mine / 'bad.yaml'}:2: there is no field 'greting'; did you mean 'greeti" in out
    assert "there is no such file" in out


def test_show_prints_all_that_a_profile_extends_but_no_secret(
    mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "hunter2")
    mine.mkdir()
    llm = "{base_url: http://localhost/v1, model: m, api_key: '${MY_KEY}'}"
    (mine / "fox.yaml").write_text(f"extends: bare\nllm: {llm}\n")
    assert run(["profiles", "show", "fox"]) == 0
    out = capsys.readouterr().out
    assert "engine: energy" in out
    assert "api_key: ${MY_KEY}" in out
    assert "hunter2" not in out


def test_the_schema_knows_fields_short_forms_and_the_options_of_stages(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profiles", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"extends", "persona_prompt", "fallback_voice"} <= schema["properties"].keys()
    assert schema["additionalProperties"] is False
    whole = schema["properties"]["llm"]["anyOf"][2]["allOf"]
    assert any("base_url" in rule["then"]["properties"] for rule in whole if "then" in rule)
    assert {"type": "string"}.items() <= schema["properties"]["vad"]["anyOf"][0].items()


def test_an_unknown_profile_lists_those_there_are(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profiles", "show", "nobody"]) == BAD_INPUT
    said = capsys.readouterr().err
    assert "there is no profile 'nobody'; there are: bare, campp, default," in said
