"""Profiles: what a person writes, what comes of it, and what is said when it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import ProfileError
from agent.profile import Profile, Shelf, merge, tree
from agent.resources import folder
from agent.turn_settings import PRESETS, TurnSettings
from stages import registry
from stages.events import Hearing, Message, Voice

Write = Callable[[str, str], Path]

BARE = """
name: Bare
vad: energy
asr: scripted
llm: {engine: echo, temperature: 0.2}
voice: {engine: tone, rate: +10%, pitch: -5Hz, volume: 0.5}
"""


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        file = tmp_path / f"{name}.yaml"
        file.write_text(dedent(text), encoding="utf-8")
        return file

    return write


def refusal(file: Path, *, check: bool = False) -> ProfileError:
    """Load a file that is wrong and return what was said."""
    with pytest.raises(ProfileError) as raised:
        _use(file, check=check)
    return raised.value


def _use(file: Path, *, check: bool) -> None:
    profile = Shelf((file.parent,)).load(file)
    if check:
        profile.check()


# --- what a profile says --------------------------------------------------------------------


def test_a_profile_becomes_what_the_stages_are_told(write: Write) -> None:
    profile = Shelf(()).load(write("me", BARE + "language: zh-CN\n"))
    assert profile.id == "me"
    assert profile.vad.engine == "energy"
    assert profile.voice.speaking == Voice(name="", rate=1.1, pitch=-5.0, volume=0.5)
    assert profile.asr.hearing == Hearing(language="zh-CN")
    assert profile.llm.temperature == 0.2
    assert profile.fallback_voice is None
    assert profile.turn.settings == TurnSettings.model_validate({})


def test_a_preset_comes_first_and_a_knob_beside_it_wins(write: Write) -> None:
    slow = Shelf(()).load(write("me", BARE + "turn: {preset: patient, cap_ms: 3000}"))
    knobs = slow.turn.settings
    assert (knobs.doubtful_ms, knobs.cap_ms) == (PRESETS["patient"]["doubtful_ms"], 3000)
    quick = Shelf(()).load(write("me", BARE + "turn: quick")).turn.settings
    assert quick.cap_ms == PRESETS["quick"]["cap_ms"]


def test_two_lines_give_the_default_a_real_mind(write: Write) -> None:
    write("base", BARE)
    file = write("me", "extends: base\nllm: {base_url: http://localhost:1/v1, model: m}")
    profile = Shelf((file.parent,)).load(file)
    assert profile.llm.engine == "openai"
    assert profile.llm.options == {"base_url": "http://localhost:1/v1", "model": "m"}
    assert profile.llm.temperature == 0.7, "what the base said was about another engine"


def test_the_prompt_is_the_persona_the_style_and_that_this_is_speech(write: Write) -> None:
    text = "persona_prompt: You are Bo.\nspeaking_style: Dry.\nexamples: [{user: a, assistant: b}]"
    profile = Shelf(()).load(write("me", BARE + text))
    assert profile.system_prompt().startswith("You are Bo.\nDry.\nYou are on the phone.")
    assert profile.opening()[1:] == (Message("user", "a"), Message("assistant", "b"))


def test_norwegian_is_a_language_and_a_date_is_a_model(write: Write) -> None:
    llm = "extends: base\nlanguage: no\nllm: {engine: openai, model: 2024-01-01}"
    write("base", BARE)
    file = write("me", llm)
    profile = Shelf((file.parent,)).load(file)
    assert profile.language == "no"
    assert profile.llm.options["model"] == "2024-01-01"


# --- extends --------------------------------------------------------------------------------


def test_a_profile_changes_only_what_it_names(write: Write) -> None:
    write("base", BARE + "turn: {preset: patient}\nfallback_voice: tone\ngreeting: Hello")
    file = write("me", "extends: base\nvoice: {rate: 1.5}\nturn: {cap_ms: 2000}\ngreeting:\n")
    profile = Shelf((file.parent,)).load("me")
    assert (profile.id, profile.name) == ("me", "Bare")
    assert profile.voice.speaking == Voice(rate=1.5, pitch=-5.0, volume=0.5)
    assert (profile.turn.preset, profile.turn.settings.cap_ms) == ("patient", 2000)
    assert profile.greeting == "", "an empty value takes back what the base said"


def test_another_engine_begins_afresh(write: Write) -> None:
    write("base", BARE.replace("engine: tone", "engine: tone, hertz: 200, voice: heart"))
    file = write("me", "extends: base\nvoice: edge")
    voice = Shelf((file.parent,)).load("me").voice
    assert (voice.engine, voice.options, voice.speaking) == ("edge", {}, Voice())


def test_a_circle_is_refused(write: Write) -> None:
    write("a", "extends: b")
    file = write("b", "\nextends: a")
    error = refusal(file)
    assert str(error) == (
        f"{file.parent / 'a.yaml'}:1: profiles extend one another in a circle: 'b' extends 'a'"
        " extends 'b'."
    )


def test_a_users_profile_may_extend_ours_of_the_same_id(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for place, text in ((ours, BARE), (theirs, "extends: default\nname: Mine")):
        place.mkdir()
        (place / "default.yaml").write_text(text)
    profile = Shelf((theirs, ours)).load("default")
    assert (profile.name, profile.vad.engine) == ("Mine", "energy")


def test_a_mistake_in_the_base_is_shown_in_the_base(write: Write) -> None:
    base = write("base", BARE + "greeting: [1]")
    file = write("me", "extends: base\nname: Me")
    assert str(refusal(file)) == f"{base}:7: 'greeting' should be a valid string."


DATA = st.recursive(
    st.integers() | st.text(max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = st.dictionaries(st.sampled_from("abc"), DATA, max_size=3)


def leaves(data: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(data, dict):
        return {path: data}
    return {p: v for key, value in data.items() for p, v in leaves(value, (*path, key)).items()}


@settings(deadline=None)
@given(SECTIONS, SECTIONS)
def test_every_value_of_a_merge_is_the_childs_or_else_the_bases(
    base: dict[str, Any], child: dict[str, Any]
) -> None:
    merged, upper, under = leaves(merge.deep(base, child)), leaves(child), leaves(base)
    assert upper.items() <= merged.items()
    assert all(under[path] == merged[path] for path in merged.keys() - upper.keys())


@settings(deadline=None)
@given(SECTIONS)
def test_merging_with_nothing_or_itself_changes_nothing(base: dict[str, Any]) -> None:
    assert merge.deep(base, {}) == merge.deep({}, base) == merge.deep(base, base) == base


# --- what is wrong, and where ---------------------------------------------------------------


def test_a_typo_is_shown_with_what_is_meant_and_what_is_allowed(write: Write) -> None:
    file = write("me", BARE + "persona_promt: You are Bo.\n")
    assert str(refusal(file)) == (
        f"{file}:7: there is no field 'persona_promt'; did you mean 'persona_prompt'? Allowed"
        " here: asr, avatar, examples, extends, fallback_voice, greeting, id, language, llm,"
        " memory, name, persona_prompt, speakers, speaking_style, tools, turn, vad, voice."
    )


def test_a_typo_in_an_option_lists_what_the_plug_in_allows(write: Write) -> None:
    file = write("me", BARE.replace("{engine: echo,", "{\n  engine: echo,\n  temprature: 1,"))
    error = refusal(file, check=True)
    assert (error.file, error.line) == (str(file), 7)
    assert "there is no field 'temprature' in 'llm'; did you mean 'temperature'?" in error.reason
    assert "Allowed here: engine, " in error.reason
    assert ", max_tokens, " in error.reason


def test_an_unknown_engine_lists_those_there_are(write: Write) -> None:
    file = write("me", BARE.replace("asr: scripted", "asr: wisper"))
    error = refusal(file, check=True)
    assert error.line == 4
    assert "There is no asr stage called 'wisper'; there are: " in error.reason


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("llm: {engine: echo, temperature: hot}", "'llm.temperature' should be a valid number"),
        ("llm: {engine: echo, temperature: 7}", "'llm.temperature' should be less than or equal"),
        ("turn: fast", "'turn.preset' should be 'quick', 'balanced' or 'patient', not 'fast'"),
        ("turn: {threshold: 0.2}", "'turn' has a release (0.35) above its threshold (0.2)"),
        ("voice: {engine: tone, rate: 10%}", "'voice.rate' should be like +10% or 1.1"),
        ("voice: {engine: tone, pitch: high}", "'voice.pitch' should be like +5Hz or 5"),
        ("examples: [{user: hi}]", "the field 'examples.0.assistant' is missing."),
        ("examples: [{user: a, asistant: b, assistant: c}]", "did you mean 'assistant'?"),
        ("id: A b", "'id' should match pattern"),
        ("greeting: 'Hi ${USER}'", "'greeting' holds ${USER}, but only the options of a stage"),
        ("extends: nobody", "'extends' names no profile that is there: there is no profile"),
        ("turn: 5", "'turn' should be fields with values ('name: …'), not 5."),
        ("memory: maybe", "'memory' should be fields with values ('name: …'), not 'maybe'."),
        ("tools: time", "'tools' should be a list ('- one'), not 'time'."),
        ("tools: [5]", "'tools.0' should be fields with values ('name: …'), not 5."),
        ("tools: [{command: x}]", "'tools.0' needs a kind, such as 'kind: mcp'; docs/tools.md"),
        ("name: again", "'name' stands here again; first in line 2"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_its_line(
    write: Write, line: str, sentence: str
) -> None:
    key = line.split(":")[0]
    kept = "".join(
        old for old in BARE.splitlines(keepends=True) if key == "name" or not old.startswith(key)
    )
    file = write("me", kept + line + "\n")
    error = refusal(file)
    assert sentence in error.reason
    assert error.line == len((kept + line).splitlines())


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("", None, "the file is empty"),
        ("# nothing\n", None, "the file is empty"),
        ("- a\n- b\n", 1, "this begins with a list"),
        ("hello", 1, "this begins with a single value"),
        ("llm:\n\tengine: echo\n", 2, "a tab cannot indent YAML; use spaces"),
        ("a: 1\na: 2\n", 2, "'a' stands here again; first in line 1"),
        ("a: &x {b: 1}\nc: *x\n", 1, "aliases"),
        ("<<: {a: 1}\n", 1, "only names can stand before a ':'"),
        ("[a, b]: 1\n", 1, "only names can stand before a ':'"),
        ("a: !!python/object:os.system x\n", 1, "YAML tags"),
        ("a: 1\n---\nb: 2\n", 2, "one YAML document"),
        ("a: 'open\n", 2, "this is no YAML"),
        ("a: \x07\n", 1, "a control character"),
        ("a: " + "[" * 5000, None, "nested too deeply"),
    ],
)
def test_yaml_that_is_hard_or_none_is_refused(text: str, line: int | None, sentence: str) -> None:
    with pytest.raises(ProfileError) as raised:
        tree.parse(text, "x.yaml")
    assert sentence in raised.value.reason
    assert raised.value.line == line


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "me.yaml"
    assert str(refusal(file)) == f"{file}: there is no such file"
    file.write_bytes(b"name: \xff\n")
    assert "not UTF-8" in str(refusal(file))
    file.write_bytes(b"#" * (tree.LARGEST + 1))
    assert "larger than 256 KiB" in str(refusal(file))


def test_an_unknown_id_lists_those_there_are(write: Write) -> None:
    folder = write("me", BARE).parent
    with pytest.raises(ProfileError, match=r"there is no profile 'you'; there are: me\."):
        Shelf((folder,)).load("you")


# --- secrets --------------------------------------------------------------------------------

VAULT = """
from contextlib import asynccontextmanager
from pydantic import SecretStr
from stages.contracts import Options, Plugin

class Settings(Options):
    base_url: str
    port: int = 80
    api_key: SecretStr = SecretStr("")
    headers: dict[str, SecretStr] = {}

@asynccontextmanager
async def open(options, store):
    yield None

plugin = Plugin(options=Settings, open=open)
"""

LOCKED = BARE.replace("{engine: echo, temperature: 0.2}", """
  engine: vault
  base_url: https://${HOST}/v1
  port: ${PORT}
  api_key: ${SECRET_KEY}
""")


@pytest.fixture
def vault(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Install a distribution with a stage that has a secret, as a foreign one would be."""
    site = tmp_path_factory.mktemp("site")
    (site / "vault_stage.py").write_text(VAULT)
    info = site / "vault_stage-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vault-stage\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[firstword.llm]\nvault = vault_stage:plugin\n")
    monkeypatch.syspath_prepend(str(site))
    registry.rescan()
    yield
    registry.rescan()


@pytest.mark.usefixtures("vault")
def test_a_secret_is_filled_in_at_use_and_stands_nowhere_else(write: Write) -> None:
    profile = Shelf(()).load(write("me", LOCKED))
    environment = {"HOST": "example.org", "PORT": "8443", "SECRET_KEY": "hunter2"}
    chosen = profile.chosen("llm", environment)
    options = chosen.options.model_dump()
    assert (options["base_url"], options["port"]) == ("https://example.org/v1", 8443)
    assert options["api_key"].get_secret_value() == "hunter2"
    shown = repr(profile), profile.model_dump_json(), str(profile.model_dump())
    assert "hunter2" not in "".join((*shown, repr(chosen), repr(chosen.options)))


@pytest.mark.usefixtures("vault")
def test_a_variable_that_is_not_set_is_missed_when_the_profile_is_used(write: Write) -> None:
    file = write("me", LOCKED)
    profile = Shelf(()).load(file)
    profile.check()
    with pytest.raises(ProfileError) as raised:
        profile.chosen("llm", {"HOST": "example.org", "PORT": "80"})
    assert str(raised.value) == (
        f"{file}:9: the profile 'me' takes 'llm.api_key' from the environment variable"
        " SECRET_KEY, which is not set."
    )
    assert "HOST, which is not set" in profile.why_unusable({})


@pytest.mark.usefixtures("vault")
def test_a_variable_of_the_wrong_kind_is_refused_and_not_repeated(write: Write) -> None:
    profile = Shelf(()).load(write("me", LOCKED))
    with pytest.raises(ProfileError, match=r":8: 'llm\.port' should be a valid integer") as raised:
        profile.chosen("llm", {"HOST": "h", "PORT": "hunter2", "SECRET_KEY": "s"})
    assert "hunter2" not in str(raised.value)


@pytest.mark.usefixtures("vault")
def test_a_secret_in_clear_is_refused_and_not_repeated(write: Write) -> None:
    error = refusal(write("me", LOCKED.replace("${SECRET_KEY}", "hunter2")), check=True)
    assert error.line == 9
    assert "'llm.api_key' is a secret and must not stand in a file" in error.reason
    assert "hunter2" not in str(error)


@pytest.mark.usefixtures("vault")
def test_a_secret_in_clear_beside_a_good_one_is_refused_too(write: Write) -> None:
    headers = "  headers: {a: 'Basic ${KEY}', b: hunter2}\n  api_key:"
    error = refusal(write("me", LOCKED.replace("  api_key:", headers)), check=True)
    assert error.reason.startswith("'llm.headers.b' is a secret")
    assert "hunter2" not in str(error)


# --- the shelf ------------------------------------------------------------------------------


def test_a_broken_profile_is_listed_and_hides_no_other(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for place in (ours, theirs):
        place.mkdir()
    (ours / "default.yaml").write_text(BARE)
    (ours / "other.yaml").write_text(BARE)
    (theirs / "bad.yaml").write_text("a: [")
    (theirs / "other.yml").write_text(BARE.replace("Bare", "Mine"))
    (theirs / "notes.txt").write_text("no profile")
    entries = Shelf((theirs, ours, tmp_path / "absent")).load_all()
    assert [entry.id for entry in entries] == ["default", "bad", "other"]
    assert entries[1].profile is None
    assert "this is no YAML" in entries[1].why_unusable()
    assert entries[0].why_unusable() == ""
    assert entries[2].profile is not None
    assert entries[2].profile.name == "Mine"


def test_the_profiles_that_come_along_can_be_read() -> None:
    entries = {entry.id: entry for entry in Shelf((folder("profiles"),)).load_all()}
    assert {"default", "bare", "local-llm", "xiaoxiao"} <= entries.keys()
    assert not [str(entry.error) for entry in entries.values() if entry.error]
    bare = entries["bare"].profile
    assert isinstance(bare, Profile)
    assert bare.why_unusable({}) == ""
