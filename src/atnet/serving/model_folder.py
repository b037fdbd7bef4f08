"""Downloaded versions on disk: one folder each, verified by hash, and a pointer to the one that should answer.

The registry process writes them, the workers read them. A pointer is moved only after the version has been verified
and self-checked, so what it points at is the last good copy, from which a service starts without the registry.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from atnet.errors import ModelError
from atnet.published_model import file_sha256
from atnet.serving.files import read_whole, write_whole

CHALLENGER = "challenger"
"""Alias of the version that a shadow scores with."""
MANIFEST = "manifest.json"
PART = ".part"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a downloaded folder holds."""

    model: str
    version: int
    model_sha256: str
    content_sha256: str
    files: dict[str, str]
    """Path in the folder -> SHA-256."""


class ModelFolder:
    """The downloaded versions of one registered model."""

    def __init__(self, folder: Path, model: str) -> None:
        self._folder, self._model = folder, model
        self._models = folder / "models"

    def pointer(self, alias: str) -> Path:
        """Return the file that names the folder of an alias's version."""
        return self._folder / f"{alias}.json"

    def pointed(self, alias: str) -> Path | None:
        """Return the folder of the alias's last good version; None before the first."""
        value = read_whole(self.pointer(alias))
        # Of another model: tracking.model_name was changed since.
        if not isinstance(value, dict) or value.get("model") != self._model:
            return None
        return self._models / str(value["folder"])

    def point(self, alias: str, folder: Path | None) -> None:
        """Let an alias's pointer name a folder, in one step; None removes the pointer."""
        if folder is None:
            self.pointer(alias).unlink(missing_ok=True)
        else:
            write_whole(self.pointer(alias), {"model": self._model, "folder": folder.name})

    def add(self, manifest: Manifest, download: Callable[[Path], None]) -> tuple[Path, bool]:
        """Return the folder of a version and whether it had to be downloaded: no undamaged copy was there."""
        target = self._models / f"{manifest.version}-{manifest.model_sha256[:8]}-{manifest.content_sha256[:8]}"
        with contextlib.suppress(ModelError):
            verify_files(target, read_manifest(target))
            return target, False
        with self._part(target) as part:
            download(part)
            files = {path: file_sha256(part / path) for path in _files(part)}
            write_whole(part / MANIFEST, {**asdict(manifest), "files": files})
            shutil.rmtree(target, ignore_errors=True)
            os.replace(part, target)
        return target, True

    def remove_others(self, keep: set[Path]) -> None:
        """Delete the folders of all other versions."""
        for folder in self._models.glob("*"):
            if folder not in keep:
                shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _part(self, target: Path) -> Iterator[Path]:
        part = target.with_name(target.name + PART)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def read_manifest(folder: Path) -> Manifest:
    """Read what a folder should hold.

    Raises:
        ModelError: if the folder or its manifest is missing or damaged.
    """
    try:
        return Manifest(**read_whole(folder / MANIFEST))
    except TypeError:
        raise ModelError(f"The copy of the model in {folder.name} has no readable {MANIFEST}.") from None


def verify_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the hash it had when it was downloaded.

    Raises:
        ModelError: naming the first file that is missing or differs.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"The copy of version {manifest.version} on disk lacks {name}.")
        if file_sha256(path) != expected:
            raise ModelError(f"The copy of version {manifest.version} on disk is damaged: {name} has another hash.")


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
