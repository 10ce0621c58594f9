"""What a first pull from a hub found: the files and hashes that later pulls and starts are held to.

A record is JSON in the store, ``.records/NAME.json``. Who can write there can also write the
models; it guards against a hub, or a network, that gives something else later.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from stages.models.files import beside
from stages.models.hubs import BRANCH, NAME, PLAIN
from stages.models.on_hubs import by_repository
from stages.models.shapes import File, Hub, HubKind, Model

FOLDER = ".records"
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BrokenRecord(Exception):
    """A record is not as one is written; the text is its path."""


def record_of(root: Path, model: Model) -> Path:
    """Return where the record of a model lies, or would lie."""
    return root / FOLDER / f"{model.folder}.json"


def recorded(root: Path, model: Model) -> Model | None:
    """Return the model with the files of its first pull; none if there was none.

    Raises:
        BrokenRecord: it was changed, or belongs to another model.
    """
    place = record_of(root, model)
    try:
        said = json.loads(place.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        raise BrokenRecord(str(place)) from None
    try:
        return _applied(model, said)
    except (KeyError, TypeError, ValueError):
        raise BrokenRecord(str(place)) from None


def _applied(model: Model, said: Any) -> Model:
    assert isinstance(model.source, Hub)
    files = tuple(
        File(str(one["name"]), str(one["name"]), int(one["size"]), str(one["sha256"]))
        for one in said["files"]
    )
    kept = {file.name: file.sha256 for file in files}
    plain = all(PLAIN.fullmatch(file.name) and _SHA256.fullmatch(file.sha256) for file in files)
    known = all(kept.get(file.name) == file.sha256 for file in model.files)
    if not files or not plain or not known or said["source"] != str(model.source):
        raise ValueError
    source = replace(model.source, revision=str(said["revision"]), listed=())
    return replace(model, source=source, files=files)


def record(root: Path, model: Model) -> None:
    """Keep what a first pull found: ``model.files`` are all of them."""
    assert isinstance(model.source, Hub)
    said = {
        "name": model.name,
        "source": str(model.source),
        "revision": model.source.revision,
        "files": [
            {"name": file.name, "size": file.size, "sha256": file.sha256} for file in model.files
        ],
    }
    place = record_of(root, model)
    place.parent.mkdir(parents=True, exist_ok=True)
    with beside(place) as file:
        file.write(json.dumps(said, indent=2).encode())


def names(root: Path) -> list[str]:
    """Return the names of the models that were pulled from hubs, as far as they can be read."""
    found = []
    for place in sorted((root / FOLDER).glob("*.json")):
        try:
            found.append(str(json.loads(place.read_bytes())["name"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def named(name: str) -> Model | None:
    """Return the model that a name like ``modelscope:iic/SenseVoiceSmall`` means, if it is one."""
    found = NAME.fullmatch(name)
    if found is None:
        return None
    kind: HubKind = "huggingface" if found["kind"] == "huggingface" else "modelscope"
    return by_repository(name, kind, found["repository"], found["revision"] or BRANCH[kind])
