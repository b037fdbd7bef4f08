"""Copies of published versions on disk, and a pointer per alias to the copy that should predict.

The registry process writes them, the workers read them. A pointer is moved only after the version has been verified
and self-checked, so what it points at is the last good copy, from which a service starts without the registry.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from atnet.errors import ModelError
from atnet.model_verification import PublishedVersion, verify_copy
from atnet.serving.state_files import read_state, write_state

CHALLENGER = "challenger"
"""Alias of the version that the shadow scores with."""
FILES = "files"
"""Subfolder of a copy with the version's files."""
MANIFEST = "manifest.json"
"""File next to the model files, with their version and hashes."""
PART = ".part"
DAMAGED_COPY = "This copy on disk is damaged; the service downloads the version again."


class ModelCopies:
    """The copies of one registered model."""

    def __init__(self, folder: Path, model: str) -> None:
        self._folder, self._model = folder, model
        self._models = folder / "models"

    def pointer(self, alias: str) -> Path:
        """Return the pointer file of an alias, which contains the name of a copy."""
        return self._folder / f"{alias}.json"

    def current(self, alias: str) -> Path | None:
        """Return the last good copy of an alias; None before the first."""
        value = read_state(self.pointer(alias))
        # Of another model: tracking.model_name has been changed.
        if not isinstance(value, dict) or value.get("model") != self._model:
            return None
        return self._models / str(value["copy"])

    def point(self, alias: str, copy: Path | None) -> None:
        """Point an alias at a copy, in one step; None removes the pointer."""
        if copy is None:
            self.pointer(alias).unlink(missing_ok=True)
        else:
            write_state(self.pointer(alias), {"model": self._model, "copy": copy.name})

    def ensure(self, version: PublishedVersion, download: Callable[[Path], None]) -> tuple[Path, bool]:
        """Return an intact copy of a version, and whether it had to be downloaded."""
        copy = self._models / f"{version.number}-{_digest(version)}"
        with contextlib.suppress(ModelError):
            verify_copy(read_manifest(copy), copy / FILES, advice=DAMAGED_COPY)
            return copy, False
        with self._part(copy) as part:
            (part / FILES).mkdir()
            download(part / FILES)
            write_state(part / MANIFEST, asdict(version))
            shutil.rmtree(copy, ignore_errors=True)
            os.replace(part, copy)
        return copy, True

    def delete_others(self, keep: set[Path]) -> None:
        """Delete all other copies."""
        for copy in self._models.glob("*"):
            if copy not in keep:
                shutil.rmtree(copy, ignore_errors=True)

    @contextlib.contextmanager
    def _part(self, copy: Path) -> Iterator[Path]:
        part = copy.with_name(copy.name + PART)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def read_manifest(copy: Path) -> PublishedVersion:
    """Read which version a copy is.

    Raises:
        ModelError: if the copy or its manifest is missing or damaged.
    """
    try:
        return PublishedVersion(**read_state(copy / MANIFEST))
    except TypeError:
        raise ModelError(f"The copy {copy.name} of a version has no readable {MANIFEST}. {DAMAGED_COPY}") from None


def _digest(version: PublishedVersion) -> str:
    content = json.dumps([version.model_sha256, sorted(version.artifacts.items())])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
