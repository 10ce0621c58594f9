"""What model hubs say over HTTP: which files a repository has, their hashes, where they lie.

Hugging Face: ``/api/models/REPO/revision/REV?blobs=true`` lists, ``/REPO/resolve/REV/FILE`` gives.
ModelScope: ``/api/v1/models/REPO/repo/files?Revision=REV`` lists, and
``/api/v1/models/REPO/repo?Revision=REV&FilePath=FILE`` gives. Both send large files elsewhere.
Another address than theirs is taken from ``HF_ENDPOINT`` and ``MODELSCOPE_ENDPOINT``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
import httpx

from stages.models.shapes import Hub, HubKind

LARGEST_LIST = 4 << 20
"""Bytes of a list of files, at most."""
NAME = re.compile(
    r"(?P<kind>huggingface|modelscope):(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?"
)
"""A repository as the store's own names have it: ``modelscope:iic/SenseVoiceSmall``."""
PLAIN = re.compile(r"\w[\w.+-]{0,199}")
"""A name of a file that lies at the top of a repository."""
BRANCH: dict[HubKind, str] = {"huggingface": "main", "modelscope": "master"}
_ENDPOINTS: dict[HubKind, tuple[str, str]] = {
    "huggingface": ("HF_ENDPOINT", "https://huggingface.co"),
    "modelscope": ("MODELSCOPE_ENDPOINT", "https://www.modelscope.cn"),
}


class HubFailed(Exception):
    """A hub cannot say what there is; the text is the reason."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of a repository, as the hub describes it.

    Attributes:
        member: its name.
        size: in bytes.
        sha256: hexadecimal; empty where the hub only knows the next.
        git: what git calls a file of this content, for small files of Hugging Face.
    """

    member: str
    size: int
    sha256: str
    git: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a hub says of a repository: ``revision`` is a commit where the hub names one."""

    revision: str
    files: tuple[Listed, ...]


def address(hub: Hub, member: str) -> str:
    """Return where a file of a repository is to be had."""
    base, repository = endpoint(hub.kind), quote(hub.repository)
    revision, file = quote(hub.revision, safe=""), quote(member)
    if hub.kind == "huggingface":
        return f"{base}/{repository}/resolve/{revision}/{file}"
    return f"{base}/api/v1/models/{repository}/repo?Revision={revision}&FilePath={file}"


def endpoint(kind: HubKind) -> str:
    """Return the address of a hub, without a slash at its end."""
    variable, usual = _ENDPOINTS[kind]
    return (os.environ.get(variable) or usual).rstrip("/")


async def listing(http: httpx.AsyncClient, hub: Hub, patience: float) -> Listing:
    """Ask a hub for a repository's files of the wanted patterns.

    Args:
        http: the client to ask with.
        hub: whose ``listed`` patterns choose.
        patience: the longest wait for the whole answer, in seconds.

    Raises:
        HubFailed: it does not answer, does not know the repository, or cannot be understood.
    """
    host = urlsplit(endpoint(hub.kind)).netloc
    try:
        with anyio.fail_after(patience):
            answer = await _ask(http, hub, host)
    except (TimeoutError, httpx.TimeoutException):
        raise HubFailed(f"{host} did not answer within {patience:g} s") from None
    except httpx.HTTPError as error:
        raise HubFailed(f"{host} cannot be reached ({error})") from error
    try:
        said = json.loads(answer)
        found = _huggingface(said) if hub.kind == "huggingface" else _modelscope(said, hub)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HubFailed(
            f"{host} is no {hub.kind} hub: what it answered is no list of files"
        ) from None
    return _chosen(found, hub, host)


async def _ask(http: httpx.AsyncClient, hub: Hub, host: str) -> bytes:
    base, repository = endpoint(hub.kind), quote(hub.repository)
    revision = quote(hub.revision, safe="")
    route = (
        f"{base}/api/models/{repository}/revision/{revision}?blobs=true"
        if hub.kind == "huggingface"
        else f"{base}/api/v1/models/{repository}/repo/files?Revision={revision}&Recursive=false"
    )
    answer = bytearray()
    async with http.stream("GET", route) as response:
        if response.status_code in (401, 403, 404):
            raise HubFailed(
                f"{host} has no public repository {hub.repository} with a revision"
                f" {hub.revision} (it answered {response.status_code})"
            )
        if response.status_code != httpx.codes.OK:
            raise HubFailed(f"{host} answered {response.status_code}")
        async for piece in response.aiter_bytes():
            answer += piece
            if len(answer) > LARGEST_LIST:
                raise HubFailed(f"{host} sends a list of files without end")
    return bytes(answer)


def _huggingface(said: Any) -> Listing:
    files = [
        Listed(
            str(one["rfilename"]),
            int(one["size"]),
            str((one.get("lfs") or {}).get("sha256") or ""),
            str(one.get("blobId") or ""),
        )
        for one in said["siblings"]
        if one.get("size") is not None
    ]
    return Listing(str(said["sha"]), tuple(files))


def _modelscope(said: Any, hub: Hub) -> Listing:
    files = [
        Listed(str(one["Path"]), int(one["Size"]), str(one.get("Sha256") or ""))
        for one in said["Data"]["Files"]
        if one.get("Type") != "tree"
    ]
    return Listing(hub.revision, tuple(files))


def _chosen(found: Listing, hub: Hub, host: str) -> Listing:
    """Keep the wanted files.

    Raises:
        HubFailed: there are none, or one of them could not be verified.
    """
    files = tuple(one for one in found.files if one.size and _wanted(one.member, hub.listed))
    if not files:
        raise HubFailed(
            f"{hub.repository} on {host} holds no model: there is no {', '.join(hub.listed)}"
        )
    for one in files:
        if not re.fullmatch(r"[0-9a-f]{64}", one.sha256) and not (
            not one.sha256 and re.fullmatch(r"[0-9a-f]{40}", one.git)
        ):
            raise HubFailed(
                f"{host} states no hash of {one.member}, so that it could not be verified"
            )
    return Listing(found.revision, files)


def _wanted(member: str, patterns: Iterable[str]) -> bool:
    return bool(PLAIN.fullmatch(member)) and any(
        fnmatchcase(member, pattern) for pattern in patterns
    )
