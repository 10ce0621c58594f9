"""Where profiles lie: the user's folder, and over it nothing; under it those that came along."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from pydantic import ValidationError

from agent.errors import ProfileError
from agent.profile import merge, tree
from agent.profile.environment import references
from agent.profile.sentences import dotted, profile_error
from agent.profile.shape import Choice, Example, Profile
from agent.profile.tree import KeyPath, Tree
from agent.resources import folder

SUFFIXES = (".yaml", ".yml")
LONGEST_CHAIN = 16
"""Profiles that extend one another, at most."""


def load(id_or_path: str | Path) -> Profile:
    """Read one profile, from the user's folder or those that came along, or a file.

    Raises:
        ProfileError: there is none, or it is wrong; with file, line and what is allowed.
    """
    return Shelf(folders()).load(id_or_path)


def load_all() -> list[Entry]:
    """List every profile, broken ones too, the default first."""
    return Shelf(folders()).load_all()


def default_id() -> str:
    """Return the id of the profile a call has that names none."""
    return "default"


def folders() -> tuple[Path, ...]:
    """Return where profiles are looked for, the user's folder first."""
    return user_folder(), folder("profiles")


def user_folder() -> Path:
    """Return the user's own folder: ``FIRSTWORD_PROFILES``, or under the user's configuration."""
    own = os.environ.get("FIRSTWORD_PROFILES")
    return Path(own) if own else platformdirs.user_config_path("firstword") / "profiles"


@dataclass(frozen=True, slots=True)
class Entry:
    """A profile on the shelf: one that can be read, or the error that says why not."""

    id: str
    file: Path
    profile: Profile | None = None
    error: ProfileError | None = None

    def why_unusable(self) -> str:
        """Return the sentence that says why no call can have it; empty if one can."""
        if self.profile is None:
            return self.error.reason if self.error else ""
        return self.profile.why_unusable()


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A file on the shelf, not yet joined with what it extends."""

    id: str
    file: Path
    tree: Tree | None
    error: ProfileError | None = None


class Shelf:
    """Profiles in some folders; an earlier folder's hides a later one's of the same id."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    def load(self, id_or_path: str | Path) -> Profile:
        """Read one profile by its id or its file.

        Raises:
            ProfileError: there is none, or it is wrong.
        """
        if _is_path(id_or_path):
            file = Path(id_or_path)
            beside = Shelf((file.parent, *self._folders))
            return _joined(_sheet(file), beside._sheets())
        sheets = self._sheets()
        found = next((sheet for sheet in sheets if sheet.id == id_or_path), None)
        if found is None:
            raise ProfileError(_unknown(str(id_or_path), sheets))
        return _joined(found, sheets)

    def load_all(self) -> list[Entry]:
        """List every profile by id, the default first, then in the order of the alphabet."""
        sheets = self._sheets()
        entries: dict[str, Entry] = {}
        for sheet in sheets:
            if sheet.id not in entries:
                entries[sheet.id] = _entry(sheet, sheets)
        return sorted(entries.values(), key=lambda entry: (entry.id != default_id(), entry.id))

    def _sheets(self) -> list[_Sheet]:
        return [_sheet(file) for folder in self._folders for file in _files(folder)]


def _is_path(id_or_path: str | Path) -> bool:
    if isinstance(id_or_path, Path):
        return True
    return "/" in id_or_path or os.sep in id_or_path or id_or_path.endswith(SUFFIXES)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)


def _sheet(file: Path) -> _Sheet:
    try:
        content = tree.read(file)
    except ProfileError as error:
        return _Sheet(file.stem, file, None, error)
    own = content.data.get("id")
    return _Sheet(own if isinstance(own, str) else file.stem, file, content)


def _entry(sheet: _Sheet, sheets: Sequence[_Sheet]) -> Entry:
    try:
        return Entry(sheet.id, sheet.file, profile=_joined(sheet, sheets))
    except ProfileError as error:
        return Entry(sheet.id, sheet.file, error=error)


def _joined(sheet: _Sheet, sheets: Sequence[_Sheet]) -> Profile:
    chain = _chain(sheet, sheets)
    whole = Tree({})
    for content in reversed(chain):
        own = {key: value for key, value in content.data.items() if key not in ("extends", "id")}
        whole = merge.over(whole, Tree(own, content.places))
    whole = merge.settled(whole)
    named = Tree({"id": chain[0].data.get("id", sheet.id), **whole.data}, whole.places)
    try:
        profile = Profile.model_validate(named.data, context=named)
    except ValidationError as error:
        raise profile_error(error, named, _allowed) from None
    _refuse_stray_variables(profile, named)
    return profile


def _chain(sheet: _Sheet, sheets: Sequence[_Sheet]) -> list[Tree]:
    """Return the trees from a profile to the last that it extends.

    A profile may extend another of its own id: that is how the user's ``default`` builds on ours.
    """
    chain, line = [_content(sheet)], [sheet]
    while "extends" in chain[-1].data:
        wanted = chain[-1].data["extends"]
        named = [other for other in sheets if other.id == wanted]
        new = [other for other in named if other.file not in {known.file for known in line}]
        if not new or len(chain) >= LONGEST_CHAIN:
            raise _no_base(chain[-1], str(wanted), line if named else [], sheets)
        line.append(new[0])
        chain.append(_content(new[0]))
    return chain


def _content(sheet: _Sheet) -> Tree:
    if sheet.tree is None:
        raise sheet.error or ProfileError("cannot be read", str(sheet.file))
    return sheet.tree


def _no_base(
    content: Tree, wanted: str, line: Sequence[_Sheet], sheets: Sequence[_Sheet]
) -> ProfileError:
    if line:
        circle = " extends ".join(repr(sheet.id) for sheet in line)
        reason = f"profiles extend one another in a circle: {circle} extends {wanted!r}."
    else:
        reason = f"'extends' names no profile that is there: {_unknown(wanted, sheets)}"
    place = content.place(("extends",))
    return ProfileError(reason, place.file if place else "", place.line if place else None)


def _unknown(wanted: str, sheets: Sequence[_Sheet]) -> str:
    known = ", ".join(sorted({sheet.id for sheet in sheets}))
    return f"there is no profile {wanted!r}; there are: {known or 'none'}."


def _allowed(path: KeyPath) -> Sequence[str]:
    if not path:
        return (*Profile.model_fields, "extends")
    return tuple(Example.model_fields) if path[0] == "examples" else ()


def _refuse_stray_variables(profile: Profile, content: Tree) -> None:
    """Refuse ``${NAME}`` where it would be taken for text."""
    for path, name in references(content.data):
        choice = getattr(profile, str(path[0]))
        if isinstance(choice, Choice) and path[1] in choice.options:
            continue
        place = content.place(path)
        raise ProfileError(
            f"{dotted(path)!r} holds ${{{name}}}, but only the options of a stage (base_url,"
            " api_key, …) are filled in from the environment.",
            place.file if place else "",
            place.line if place else None,
        )
