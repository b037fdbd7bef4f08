"""Refuse to replace files that `atnet score` did not write."""

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from atnet.errors import ConfigurationError
from atnet.scoring.destinations import manifest_path

HEAD_BYTES = 1 << 16
MARK = "model_sha256"
"""A column of every output."""


def require_own_outputs(outputs: Iterable[Path]) -> None:
    """Check that no output exists that another program wrote.

    Raises:
        ConfigurationError: naming the file.
    """
    for output in outputs:
        if output.is_file() and not manifest_path(output).exists() and not _is_own(output):
            raise ConfigurationError(
                f"{output} exists and was not written by `atnet score`. Choose another file for the scored rows, or "
                "replace it with --force."
            )


def _is_own(output: Path) -> bool:
    """Return whether a file without a manifest is empty or has scored rows, as after a kill before the manifest."""
    if output.stat().st_size == 0:
        return True
    try:
        return MARK in pq.read_schema(output).names
    except (pa.ArrowException, OSError):
        pass
    try:
        with gzip.open(output) as unpacked:
            head = unpacked.read(HEAD_BYTES)
    except gzip.BadGzipFile:
        with output.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (EOFError, zlib.error):
        return False
    return MARK.encode() in head
