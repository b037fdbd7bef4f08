"""Open the source and destination of a job: files, folders or SQL tables."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from atnet.errors import ConfigurationError
from atnet.scoring.destinations import Destination, FileDestination
from atnet.scoring.file_source import FileSource, output_paths
from atnet.scoring.foreign_outputs import require_own_outputs
from atnet.scoring.options import ScoringJob, is_table
from atnet.scoring.partitions import Source
from atnet.scoring.scored_rows import scored_schema
from atnet.scoring.writers import output_format


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The source and the destination of a job."""

    source: Source
    destination: Destination
    source_name: str
    target_name: str
    """The address for manifests and messages, without a password."""
    target_is_table: bool
    lock_name: str
    """Name of the lock file that keeps two runs from writing to one target."""


def open_endpoints(job: ScoringJob) -> Endpoints:
    """Open the source and the destination of a job.

    Raises:
        ConfigurationError: if an address cannot be used, or source and target do not fit together.
        DataFileError: if the source does not exist.
        StoreError: if a database does not answer.
    """
    for name, address in (("INPUT", job.source), ("OUTPUT", job.target)):
        # An empty path would be the project folder; most likely a variable of the shell is not set.
        if not address.strip():
            raise ConfigurationError(f"{name} is empty. Give the path of a file or folder, or URL::TABLE.")
    source, source_name = _open_source(job)
    destination, name = _open_destination(job, source)
    lock = f"score-{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"
    return Endpoints(source, destination, source_name, name, is_table(job.target), lock)


def _open_source(job: ScoringJob) -> tuple[Source, str]:
    if is_table(job.source):
        # Here only: SQLAlchemy is of no use for files.
        from atnet.scoring.sql_source import TableSource
        from atnet.scoring.sql_tables import open_table

        table = open_table(job.source)
        return TableSource(table, job.data, job.options.partition_column), table.address
    if job.options.partition_column is not None:
        raise ConfigurationError("--partition-column is for SQL tables; in a folder each file is a partition.")
    # Not resolve(): it fails for links that point at each other.
    path = Path(os.path.realpath(job.root / job.source))
    # The same name however the path is written, and also after the project has moved.
    name = path.relative_to(job.root.resolve()) if path.is_relative_to(job.root.resolve()) else path
    return FileSource(job.root / job.source, job.data), name.as_posix()


def _open_destination(job: ScoringJob, source: Source) -> tuple[Destination, str]:
    if is_table(job.target):
        from atnet.scoring.sql_destination import TableDestination
        from atnet.scoring.sql_tables import open_table

        table = open_table(job.target)
        return TableDestination(table), table.address
    target = job.root / job.target
    schema = scored_schema(explained=job.options.explain > 0)
    partitions = source.partitions()
    if is_table(job.source) and job.options.partition_column is not None:
        names = {p.name: target / f"{quote(p.name, safe=' ')}.{job.options.format}" for p in partitions}
        return _file_destination(job, names, schema), os.path.realpath(target)
    if not is_table(job.source) and (job.root / job.source).is_dir():
        outputs = output_paths(job.root / job.source, target, partitions, job.options.format)
        return _file_destination(job, outputs, schema), os.path.realpath(target)
    if target.is_dir():
        raise ConfigurationError(f"{target} is a folder. Give the path of a file for the scored rows.")
    if Path(os.path.realpath(target)) == Path(os.path.realpath(job.root / job.source)):
        raise ConfigurationError(f"{target} is the input. Choose another file for the scored rows.")
    output_format(target)
    return _file_destination(job, {partitions[0].name: target}, schema), os.path.realpath(target)


def _file_destination(job: ScoringJob, outputs: Mapping[str, Path], schema: pa.Schema) -> FileDestination:
    if not job.options.force:
        require_own_outputs(outputs.values())
    return FileDestination(outputs, schema)
