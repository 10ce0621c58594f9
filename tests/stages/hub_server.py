"""Repositories on a local hub that speaks Hugging Face's or ModelScope's words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from stages.models.hubs import BRANCH
from stages.models.shapes import HubKind
from tests.stages.file_server import Files
from tests.stages.toys import sha256

COMMIT = "5d6f8c1e" * 5


@dataclass
class Repository:
    """A repository on a local hub; what it lists may differ from what it gives."""

    kind: HubKind
    hub: Files
    repository: str = "acme/toy"
    revision: str = ""  # the main branch

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.repository}"

    def list_route(self, revision: str = "") -> str:
        revision = revision or self.revision or BRANCH[self.kind]
        if self.kind == "huggingface":
            return f"/api/models/{self.repository}/revision/{revision}?blobs=true"
        return f"/api/v1/models/{self.repository}/repo/files?Revision={revision}&Recursive=false"

    def file_route(self, file: str) -> str:
        if self.kind == "huggingface":
            return f"/{self.repository}/resolve/{COMMIT}/{file}"
        revision = self.revision or BRANCH[self.kind]
        return f"/api/v1/models/{self.repository}/repo?Revision={revision}&FilePath={file}"

    def offer(self, files: dict[str, bytes]) -> None:
        """Give these files, and list them in the hub's own words."""
        self.hub.files |= {self.file_route(name): raw for name, raw in files.items()}
        listed = _huggingface(files) if self.kind == "huggingface" else _modelscope(files)
        self.hub.files[self.list_route()] = json.dumps(listed).encode()

    def listed(self) -> str:
        return self.hub.files[self.list_route()].decode()

    def list_otherwise(self, old: str, new: str) -> None:
        assert old in self.listed()
        self.hub.files[self.list_route()] = self.listed().replace(old, new).encode()


def _huggingface(files: dict[str, bytes]) -> object:
    siblings = []
    for name, raw in files.items():
        blob = hashlib.sha1(b"blob %d\0" % len(raw) + raw).hexdigest()
        entry = {"rfilename": name, "size": len(raw), "blobId": blob}
        if len(raw) > 1000:
            entry["lfs"] = {"sha256": sha256(raw), "size": len(raw), "pointerSize": 134}
        siblings.append(entry)
    return {"id": "acme/toy", "sha": COMMIT, "siblings": siblings}


def _modelscope(files: dict[str, bytes]) -> object:
    entries: list[dict[str, object]] = [{"Path": "examples", "Type": "tree", "Size": 0}]
    entries += [
        {"Path": name, "Name": name, "Type": "blob", "Size": len(raw), "Sha256": sha256(raw)}
        for name, raw in files.items()
    ]
    return {"Code": 200, "Success": True, "Data": {"Files": entries}}
