"""``firstword profiles``: list, show, check and make characters."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from agent.commands.verbs import verb
from agent.errors import NotPossible, ProfileError
from agent.folders import make_folder
from agent.profile import (
    ID,
    Entry,
    Profile,
    default_id,
    json_schema,
    load,
    load_all,
    user_folder,
)
from agent.profile.tavern import LARGEST, profile_of, read_card

WRONG = 2
"""Exit code when a profile that was checked is wrong."""

TEMPLATE = """\
# A character of your own: what is not said here is as in {base!r}.
# All fields: docs/profiles.md. Check it: firstword profiles validate {id}
extends: {base}
name: {name}
# avatar: "🦊"
# greeting: Hello, nice to hear you.
# persona_prompt: |
#   You are {name}. …
# speaking_style: Warm and brief.
# llm:
#   base_url: http://127.0.0.1:11434/v1    # any OpenAI-compatible server
#   model: qwen3:4b-instruct
#   api_key: ${{MY_KEY}}                     # secrets only ever like this
# turn: balanced                           # or quick, or patient
"""


class _Plain(yaml.SafeDumper):
    """Writes text of several lines as a block, as a person does."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Plain.add_representer(str, _text)


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    verb(verbs, "list", "show every character, and why one cannot be called")
    show = verb(verbs, "show", "print a profile with all that it extends")
    show.add_argument("profile", metavar="ID_OR_FILE", help="the profile's id, or its YAML file")
    check = verb(verbs, "validate", "check profiles, and say what is wrong in them")
    check.add_argument(
        "profiles", nargs="*", metavar="ID_OR_FILE", help="ids or YAML files (default: all)"
    )
    new = verb(verbs, "new", "begin a profile in your own folder")
    new.add_argument("id", metavar="ID", help="lower-case letters, digits, - and _")
    card = verb(verbs, "import", "make a profile of a Tavern card")
    card.add_argument("card", metavar="FILE", help="the card, PNG or JSON")
    card.add_argument(
        "--id", metavar="ID", help="of the new profile (default: from the card's name)"
    )
    for one in (new, card):
        one.add_argument(
            "--extends",
            default=default_id(),
            metavar="ID",
            help="the profile that it builds on (default: %(default)s)",
        )
    verb(verbs, "schema", "print the JSON Schema of profile files, for editors")


def run(options: argparse.Namespace) -> int:
    """Do what was asked; 0 if all is well, 2 if a checked profile is wrong.

    Raises:
        ProfileError: the profile to show or extend is wrong or not there.
        NotPossible: the new profile cannot be written.
    """
    verbs: dict[str, Callable[[argparse.Namespace, Console], int]] = {
        "list": _list,
        "show": _show,
        "validate": _validate,
        "new": _new,
        "import": _import,
        "schema": _schema,
    }
    return verbs[options.verb](options, Console(soft_wrap=True, highlight=False))


def _list(options: argparse.Namespace, out: Console) -> int:
    table = Table(box=None, pad_edge=False)
    for heading in ("ID", "NAME", "LANGUAGE", "CAN BE CALLED"):
        table.add_column(heading, no_wrap=True)
    reasons = []
    for entry in load_all():
        name, language = (entry.profile.name, entry.profile.language) if entry.profile else ("", "")
        why = str(entry.error) if entry.error else entry.why_unusable()
        table.add_row(entry.id, name, language, "no" if why else "yes", style="dim" if why else "")
        reasons += [f"{entry.id}: {why}"] if why else []
    out.print(table)
    for reason in reasons:
        out.print(reason, style="dim", markup=False)
    out.print(f"Your own lie in {user_folder()}", style="dim", markup=False)
    return 0


def _show(options: argparse.Namespace, out: Console) -> int:
    said = load(options.profile).model_dump(mode="json", exclude_none=True, exclude_unset=True)
    text = yaml.dump(said, Dumper=_Plain, allow_unicode=True, sort_keys=False, width=90)
    out.print(text, end="", markup=False)
    return 0


def _validate(options: argparse.Namespace, out: Console) -> int:
    if options.profiles:
        named = [(name, partial(load, name)) for name in options.profiles]
    else:
        named = [(entry.id, partial(_read, entry)) for entry in load_all()]
    faults = sum(_wrong(name, read, out) for name, read in named)
    return WRONG if faults else 0


def _read(entry: Entry) -> Profile:
    if entry.profile is None:
        raise entry.error or ProfileError("cannot be read", str(entry.file))
    return entry.profile


def _wrong(name: str, read: Callable[[], Profile], out: Console) -> bool:
    """Print what is to be said of one profile; true if it is wrong."""
    try:
        profile = read()
        profile.check()
    except ProfileError as error:
        out.print(f"{name}: {error}", style="red", markup=False)
        return True
    why = profile.why_unusable()
    out.print(f"{name}: right{f', but {why}' if why else ''}", markup=False)
    return False


def _new(options: argparse.Namespace, out: Console) -> int:
    name = options.id.replace("-", " ").replace("_", " ").title()
    if not re.fullmatch(ID, options.id):
        raise NotPossible(f"{options.id!r} is no id: use lower-case letters, digits, - and _.")
    load(options.extends)
    file = user_folder() / f"{options.id}.yaml"
    _write_new(file, TEMPLATE.format(base=options.extends, id=options.id, name=name))
    out.print(f"made {Path(file)}; check it with: firstword profiles validate {options.id}")
    return 0


def _import(options: argparse.Namespace, out: Console) -> int:
    try:
        with Path(options.card).open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise NotPossible(f"{options.card} cannot be read: {error.strerror}.") from error
    card, whole = read_card(content)
    load(options.extends)
    data, left_out = profile_of(card, options.extends)
    own = options.id or re.sub(r"[^a-z0-9]+", "-", card.name.lower()).strip("-")[:64]
    if not re.fullmatch(ID, own):
        raise NotPossible(f"{own!r} is no id: name one of lower-case letters and digits with --id.")
    file = user_folder() / f"{own}.yaml"
    text = yaml.dump(data, Dumper=_Plain, allow_unicode=True, sort_keys=False, width=90)
    _write_new(file, f"# From {Path(options.card).name}; all of the card: {own}.card.json\n{text}")
    kept = json.dumps(whole, ensure_ascii=False, indent=1)
    file.with_suffix(".card.json").write_text(kept, encoding="utf-8", errors="replace")
    for sentence in left_out:
        out.print(sentence, markup=False)
    out.print(f"made {file}; call it with: firstword serve --profile {own}", markup=False)
    return 0


def _write_new(file: Path, text: str) -> None:
    try:
        make_folder(file.parent)
        with file.open("x", encoding="utf-8", errors="replace") as new:
            new.write(text)
    except FileExistsError as error:
        raise NotPossible(f"{file} is there already; edit it, or choose another id.") from error
    except NotADirectoryError as error:
        reason = f"{file.parent} is no folder; FIRSTWORD_PROFILES names the one of your profiles"
        raise NotPossible(f"{file} cannot be written: {reason}.") from error
    except OSError as error:
        raise NotPossible(f"{file} cannot be written: {error.strerror}.") from error


def _schema(options: argparse.Namespace, out: Console) -> int:
    out.print(json.dumps(json_schema(), ensure_ascii=False, indent=2), markup=False)
    return 0
