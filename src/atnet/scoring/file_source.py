"""Texts in files: one file, or a folder in which each data file is a partition."""

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from atnet.config import DataConfig
from atnet.errors import ConfigurationError, DataFileError
from atnet.file_hashes import file_sha256
from atnet.file_system import require_no_pipe
from atnet.scoring.partitions import Partition, PartitionInput
from atnet.scoring.text_batches import COMPRESSED, data_suffix

logger = logging.getLogger(__name__)

LISTED = 5


class FileSource:
    """A file or a folder of files."""

    def __init__(self, path: Path, data: DataConfig) -> None:
        """Find the files.

        Raises:
            DataFileError: if the path does not exist, or is a pipe.
        """
        if not path.exists():
            raise DataFileError(f"{path} does not exist. Check the path of the texts to score.")
        require_no_pipe(path)
        self._data = data
        self._paths = _find_files(path) if path.is_dir() else {path.name: path}

    def partitions(self) -> list[Partition]:
        """List the partitions, in the order of their names."""
        return [Partition(name) for name in sorted(self._paths)]

    def digest(self, partition: Partition) -> str:
        """Return the SHA-256 of a file.

        Raises:
            DataFileError: if it cannot be read.
        """
        path = self._paths[partition.name]
        try:
            return file_sha256(path)
        except (FileNotFoundError, PermissionError) as error:
            raise DataFileError(f"{path} cannot be read ({error.strerror}). Check its permissions.") from None

    @contextlib.contextmanager
    def open(self, partition: Partition) -> Iterator[PartitionInput]:
        """Provide a file; it must not change meanwhile.

        Raises:
            DataFileError: if it changed while the block ran.
        """
        path = self._paths[partition.name]
        before = path.stat()
        yield PartitionInput(path, self._data, self.digest(partition))
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise DataFileError(f"{path} changed while it was being scored. Run the command again when it is complete.")


def output_paths(source: Path, target: Path, partitions: list[Partition], format_name: str) -> Mapping[str, Path]:
    """Map each partition of a folder to its output: the same path below the target, with another suffix.

    Raises:
        ConfigurationError: if two partitions would have the same output, or the outputs would be among the inputs.
    """
    if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(source)):
        raise ConfigurationError(
            f"{target} is inside {source}: its files would be scored next time. Choose another output."
        )
    names: dict[Path, str] = {}
    for partition in partitions:
        output = target / f"{_without_suffixes(partition.name)}.{format_name}"
        if output in names:
            raise ConfigurationError(
                f"{names[output]} and {partition.name} would both be scored to {output}. Rename one of them."
            )
        names[output] = partition.name
    return {name: output for output, name in names.items()}


def _find_files(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    ignored: list[str] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        # As in Spark and pyarrow: names that begin with . or _ are not data.
        if not path.is_file() or any(part.startswith((".", "_")) for part in name.parts):
            continue
        if data_suffix(path) is None:
            ignored.append(name.as_posix())
        else:
            files[name.as_posix()] = path
    if ignored:
        more = ", …" if len(ignored) > LISTED else ""
        logger.warning("%s: %d files are not data files: %s%s", folder, len(ignored), ", ".join(ignored[:LISTED]), more)
    if not files:
        logger.warning("%s has no CSV, JSON Lines or Parquet file to score. Check the path of the texts.", folder)
    return files


def _without_suffixes(name: str) -> str:
    path = Path(name)
    if path.suffix.lower() in COMPRESSED:
        path = path.with_suffix("")
    return path.with_suffix("").as_posix()
