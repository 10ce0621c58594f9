"""The characters that calls are cast from, read again when a file is saved.

A broken edit keeps the last good version, and says why. Files are looked at once a second by
their times and sizes: a dozen ``stat`` calls, which work on every file system, need no package,
and see the odd ways in which editors save.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from agent.errors import ProfileError
from agent.profile import Profile, Shelf
from agent.profile.shelf import SUFFIXES, folders
from stages.threads import Workers

LOOK_S = 1.0
"""Between two looks at the files."""

_log = logging.getLogger(__name__)

Signature = frozenset[tuple[str, int, int]]


@dataclass(eq=False)
class Roster:
    """Profiles by id, each in its newest good version.

    Args:
        places: where they lie.
    """

    places: tuple[Path, ...] = field(default_factory=folders)
    _good: dict[str, Profile] = field(default_factory=dict)
    _why: dict[str, str] = field(default_factory=dict)  # by id: what is wrong with the newest
    _workers: Workers = field(default_factory=lambda: Workers(1))

    def get(self, profile_id: str) -> Profile:
        """Read a profile; one that is broken now is given as it was when it was last right.

        Raises:
            ProfileError: there is none, or it never was right.
        """
        try:
            profile = Shelf(self.places).load(profile_id)
            profile.check()
        except ProfileError as error:
            return self._last_good(profile_id, error)
        self._good[profile_id] = profile
        self._why.pop(profile_id, None)
        return profile

    def why_stale(self, profile_id: str) -> str:
        """Return what is wrong with a profile whose last good version is used; empty: nothing."""
        return self._why.get(profile_id, "")

    async def watch(
        self,
        changed: Callable[[], Awaitable[None]],
        *,
        task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        """Call ``changed`` whenever a file was saved, made or removed; until cancelled.

        It has started when it knows what there is: what changes from then on is noticed.
        """
        known = await self._workers.run(self._signature)
        task_status.started()
        while True:
            await anyio.sleep(LOOK_S)
            seen = await self._workers.run(self._signature)
            if seen != known:
                known = seen
                await changed()

    def _last_good(self, profile_id: str, error: ProfileError) -> Profile:
        good = self._good.get(profile_id)
        if good is None:
            raise error
        if self._why.get(profile_id) != error.reason:
            _log.warning("%s The last good version of %r is used.", error, profile_id)
        self._why[profile_id] = error.reason
        return good

    def _signature(self) -> Signature:
        found = set()
        for place in self.places:
            for file in place.glob("*") if place.is_dir() else ():
                if file.suffix in SUFFIXES:
                    found.add(_facts(file))
        return frozenset(found)


def _facts(file: Path) -> tuple[str, int, int]:
    try:
        facts = file.stat()
    except OSError:  # it went as we looked
        return str(file), 0, 0
    return str(file), facts.st_mtime_ns, facts.st_size


def same(one: Profile, other: Profile) -> bool:
    """Tell whether two profiles say the same, wherever it stands in their files."""
    return one.model_dump() == other.model_dump()
