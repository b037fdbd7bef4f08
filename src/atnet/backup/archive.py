"""The archive: a tar file whose last member, the manifest, lists the SHA-256 of every other member."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import IO, Any

from atnet.errors import DataFileError
from atnet.storage import whole_file

MANIFEST = "manifest.json"
FORMAT = 1
CHUNK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive contains, and what it was made from."""

    created: str
    """ISO 8601, in UTC."""
    commit: str | None
    """Commit of the project's code and parameters; None outside a git repository."""
    dirty: bool
    """Files of the project differed from the commit."""
    artifact_location: str
    """Where the store had its artifacts; the database contains this path."""
    aliases: Mapping[str, int]
    missing: tuple[str, ...]
    """Outputs in a dvc.lock that DVC's cache lacked."""
    files: Mapping[str, str]
    """Name of each member -> SHA-256."""
    format: int = FORMAT


def write_archive(path: Path, members: Iterable[tuple[str, Path]], manifest: Manifest) -> Manifest:
    """Write files and their manifest to a new archive, completely or not at all.

    Args:
        path: the archive.
        members: name in the archive and file, in order.
        manifest: the manifest without its `files`.

    Returns:
        The manifest as written.
    """
    hashes: dict[str, str] = {}
    with whole_file(path) as partial, tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, file in members:
            if name not in hashes:
                hashes[name] = _add(archive, name, file)
        complete = Manifest(**{**_values(manifest), "files": hashes})
        text = json.dumps(asdict(complete), indent=2, sort_keys=True).encode("utf-8")
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    return complete


def extract_archive(path: Path, folder: Path) -> Manifest:
    """Extract an archive into an empty folder and compare every file with the manifest.

    Raises:
        DataFileError: if the archive is missing, damaged or not one of this project, or if a file differs.
    """
    if path.is_dir():
        raise DataFileError(f"{path} is a folder. Give the path of an archive written by `atnet backup`.")
    if not path.is_file():
        raise DataFileError(f"{path} does not exist. Give the path of an archive written by `atnet backup`.")
    hashes: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if not member.isfile() or not _is_safe(member.name):
                    raise DataFileError(f"{path} was not written by `atnet backup`: it contains {member.name!r}.")
                stream = archive.extractfile(member)
                assert stream is not None
                hashes[member.name] = _extract(stream, folder / member.name)
    except (tarfile.TarError, EOFError) as error:
        raise DataFileError(f"{path} is damaged or not a tar file ({error}). Use another backup.") from error
    return _checked_manifest(path, folder, hashes)


def _checked_manifest(path: Path, folder: Path, hashes: dict[str, str]) -> Manifest:
    if hashes.pop(MANIFEST, None) is None:
        raise DataFileError(f"{path} has no manifest: it is cut short, or `atnet backup` did not write it.")
    values: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if values.get("format") != FORMAT:
        raise DataFileError(f"{path} has format {values.get('format')}; this version of AtNet reads format {FORMAT}.")
    manifest = Manifest(**{**values, "missing": tuple(values["missing"])})
    differing = sorted(
        name for name in manifest.files.keys() | hashes.keys() if manifest.files.get(name) != hashes.get(name)
    )
    if differing:
        listed = ", ".join(differing[:3]) + (", …" if len(differing) > 3 else "")
        raise DataFileError(f"{path} is damaged: {listed} does not match the manifest. Use another backup.")
    return manifest


def _values(manifest: Manifest) -> dict[str, Any]:
    return {field.name: getattr(manifest, field.name) for field in fields(manifest)}


def _is_safe(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not name.startswith("/") and ".." not in parts and bool(parts)


def _add(archive: tarfile.TarFile, name: str, file: Path) -> str:
    with file.open("rb") as source:
        info = archive.gettarinfo(arcname=name, fileobj=source)
        info.uname = info.gname = ""
        info.uid = info.gid = 0
        hashing = _HashingReader(source, info.size)
        archive.addfile(info, hashing)
    return hashing.hexdigest()


class _HashingReader(io.RawIOBase):
    """Reads at most `size` bytes of a stream and hashes them: a file that grows meanwhile is cut at its old size."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        super().__init__()
        self._stream, self._left, self._hash = stream, size, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        self._hash.update(data)
        return data

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _extract(stream: IO[bytes], path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as target:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()
