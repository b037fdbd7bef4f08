"""Where scored rows go: the protocol, and files, each with a manifest and a file of rejected rows.

Names of these additional files begin with `_`, which readers of a folder of Parquet files skip.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from atnet.file_system import require_writable
from atnet.scoring.durable_files import PartFile, delete_durably, durable_file
from atnet.scoring.manifest import Manifest
from atnet.scoring.partitions import Partition
from atnet.scoring.scored_rows import REJECTED
from atnet.scoring.writers import JsonRows, open_writer


class PartitionWriter(Protocol):
    """Writes the rows of one partition; nothing is visible before `commit`."""

    def write(self, scored: pa.RecordBatch) -> None:
        """Write scored rows."""

    def reject(self, rejected: pa.RecordBatch) -> None:
        """Write rejected rows."""

    def commit(self, manifest: Manifest) -> None:
        """Replace what was there before by what has been written."""


class Destination(Protocol):
    """Where scored rows go."""

    def manifest(self, partition: Partition) -> Manifest | None:
        """Return the manifest of a partition's output; None if it has not been scored completely."""

    def require_writable(self, partitions: Sequence[Partition]) -> None:
        """Raise a ConfigurationError if partitions cannot be written."""

    def open(self, partition: Partition, model_sha256: str) -> AbstractContextManager[PartitionWriter]:
        """Start to write a partition."""


class FileDestination:
    """One output file per partition."""

    def __init__(self, outputs: Mapping[str, Path], schema: pa.Schema) -> None:
        """Describe the outputs.

        Args:
            outputs: name of a partition -> its file.
            schema: of the scored rows.
        """
        self._outputs = outputs
        self._schema = schema

    def manifest(self, partition: Partition) -> Manifest | None:
        """Return the manifest; None if the output is missing or not the one that it describes."""
        output = self._outputs[partition.name]
        try:
            manifest = Manifest.from_json(json.loads(manifest_path(output).read_text(encoding="utf-8")))
            size = output.stat().st_size
        # Not a folder: `require_writable` has the message.
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        return manifest if manifest is not None and manifest.output_bytes == size else None

    def require_writable(self, partitions: Sequence[Partition]) -> None:
        """Check that the files of partitions can be written.

        Raises:
            ConfigurationError: naming the first file that cannot.
        """
        checked: set[Path] = set()
        for output in (self._outputs[partition.name] for partition in partitions):
            # A folder with many partitions is checked once.
            if output.parent not in checked or output.exists():
                require_writable(output)
            checked.add(output.parent)

    @contextlib.contextmanager
    def open(self, partition: Partition, model_sha256: str) -> Iterator["FilePartitionWriter"]:
        """Start to write a partition."""
        writer = FilePartitionWriter(self._outputs[partition.name], self._schema)
        try:
            yield writer
        finally:
            writer.discard()


class FilePartitionWriter:
    """Writes an output file, the rejected rows and the manifest."""

    def __init__(self, output: Path, schema: pa.Schema) -> None:
        self._output = output
        self._part = PartFile(output)
        self._rows = open_writer(self._part.stream, output, schema)
        self._rejected: PartFile | None = None

    def write(self, scored: pa.RecordBatch) -> None:
        """Write scored rows."""
        self._rows.write(scored)

    def reject(self, rejected: pa.RecordBatch) -> None:
        """Write rejected rows."""
        if self._rejected is None:
            self._rejected = PartFile(rejected_path(self._output))
        JsonRows(self._rejected.stream, REJECTED).write(rejected)

    def commit(self, manifest: Manifest) -> None:
        """Rename the files, the manifest last: a partition without one is scored again, whatever else is there."""
        self._rows.close()
        delete_durably(manifest_path(self._output))
        if self._rejected is None:
            delete_durably(rejected_path(self._output))
        else:
            self._rejected.commit()
        size = self._part.commit()
        with durable_file(manifest_path(self._output)) as file:
            values = replace(manifest, output_bytes=size).to_json()
            file.write((json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))

    def discard(self) -> None:
        """Delete what has not been renamed."""
        with contextlib.suppress(OSError, ValueError, pa.ArrowException):
            self._rows.close()
        self._part.discard()
        if self._rejected is not None:
            self._rejected.discard()


def manifest_path(output: Path) -> Path:
    """Return the file of an output's manifest."""
    return output.with_name(f"_{output.name}.manifest.json")


def rejected_path(output: Path) -> Path:
    """Return the file of the rows that are not in an output."""
    return output.with_name(f"_{output.name}.rejected.jsonl")
