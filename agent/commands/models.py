"""``firstword models``: which models there are, bring them, check them."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import Literal

import anyio
from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from agent.commands.noted import print_noted
from agent.commands.verbs import verb
from stages.errors import ModelCorrupt, ModelMissing
from stages.models import EMBEDDED, Model, ModelStore

_MEGABYTE = 1_000_000
_LOOK = {"ready": "[green]ready[/]", "missing": "not pulled", "corrupt": "[red]corrupt[/]"}


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", title="verbs")
    verb(verbs, "list", "show every model, its size, licence, source and state")
    pull = verb(verbs, "pull", "download models and verify them; a pull that broke off goes on")
    pull.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="of 'models list' (default: all that an agent needs without other services), or any of"
        " a hub: modelscope:OWNER/NAME, huggingface:OWNER/NAME",
    )
    pull.add_argument("--profile", metavar="ID", help="pull what this profile needs")
    forget = verb(verbs, "forget", "remove models, and what is recorded of them")
    forget.add_argument("names", nargs="+", metavar="NAME", help="models to remove")
    verify = verb(verbs, "verify", "read model files again and compare their SHA-256")
    verify.add_argument(
        "names", nargs="*", metavar="NAME", help="models (default: all that were pulled)"
    )


def run(options: argparse.Namespace) -> int:
    """Do what was asked; 0 if all is well, 2 if a model is not as it should be.

    Raises:
        ModelMissing: a name that nobody knows.
        ModelPullFailed: a model could not be brought.
    """
    store, out = ModelStore(), Console()
    match options.verb:
        case "list":
            return show_all(store, out)
        case "pull":
            names = options.names or ([] if options.profile else list(EMBEDDED))
            names += _needed(options.profile) if options.profile else []
            bring(store, list(dict.fromkeys(names)), out)
            return 0
        case "forget":
            for name in options.names:
                store.forget(name)
                out.print(f"{name} is forgotten", highlight=False)
            return 0
        case _:
            return _verify(store, options.names, out)


def _shown(store: ModelStore, name: str) -> Model:
    """Return what is known of a model; of one whose record is broken, what the catalogue knows."""
    return store.known(name) if store.state(name) == "corrupt" else store.model(name)


def show_all(store: ModelStore, out: Console) -> int:
    """Print every model: a line of facts, and under it what it does and where it comes from."""
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "MB", "LICENCE", "STATE"):
        justify: Literal["left", "right"] = "right" if heading == "MB" else "left"
        table.add_column(heading, justify=justify, no_wrap=True)
    models = [_shown(store, name) for name in store.names()]
    for model in models:
        size = f"{model.size / _MEGABYTE:.1f}" if model.files else "?"
        table.add_row(model.name, size, model.licence, _LOOK[store.state(model.name)])
    about = (Text(f"{model.summary}; {model.source}", style="dim") for model in models)
    print_noted(out, table, [Padding(text, (0, 0, 0, 4)) for text in about])
    out.print(f"in {store.root}", soft_wrap=True)
    return 0


def bring_missing(store: ModelStore, names: Sequence[str], out: Console) -> None:
    """Bring those models that are not here, or not whole; says nothing when all are.

    Raises:
        ModelPullFailed: a model could not be brought.
    """
    missing = [name for name in names if store.state(name) != "ready"]
    if missing:
        bring(store, missing, out)


def bring(store: ModelStore, names: Sequence[str], out: Console) -> None:
    """Bring models, showing how it goes.

    Raises:
        ModelMissing: a name that nobody knows.
        ModelPullFailed: a model could not be brought.
    """
    models = [store.model(name) for name in names]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out) as bars:
        tasks = {model.name: _bar(bars, model) for model in models}

        def show(name: str, done: int, total: int) -> None:
            bars.update(tasks[name], completed=done, total=total)

        anyio.run(store.pull, names, show)
    count = "1 model is" if len(names) == 1 else f"{len(names)} models are"
    out.print(f"{count} ready in {store.root}", soft_wrap=True)


def _bar(bars: Progress, model: Model) -> TaskID:
    return bars.add_task(model.name, total=model.transfer)


def _verify(store: ModelStore, names: list[str], out: Console) -> int:
    chosen = names or [name for name in store.names() if store.state(name) != "missing"]
    broken = 0
    for name in chosen:
        try:
            store.verify(name)
        except (ModelMissing, ModelCorrupt) as error:
            broken += 1
            out.print(str(error), style="red", soft_wrap=True)
        else:
            out.print(f"{name}: as it should be")
    return 2 if broken else 0


def _needed(profile: str) -> list[str]:
    """Return the models that a profile's stages name; imported late, other verbs need neither."""
    loaded = importlib.import_module("agent.profile").load(profile)
    return list(importlib.import_module("agent.engines").models_of(loaded))
