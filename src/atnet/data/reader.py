"""Read the labeled texts: CSV, JSON Lines or Parquet, compressed with gzip or not."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, Protocol

import pandas as pd
import pyarrow as pa

from atnet.config import DataConfig
from atnet.data.columns import required_columns, to_canonical
from atnet.data.delimited import stream_delimited
from atnet.data.encodings import check_encoding
from atnet.data.raw_bytes import CHUNK_BYTES, no_rows_error, open_bytes
from atnet.data.records import stream_json_lines, stream_parquet
from atnet.errors import DataContractError, DataFileError

Format = Literal["csv", "jsonl", "parquet"]
PARQUET_MAGIC = b"PAR1"
UNSUPPORTED_MAGICS = {
    b"PK\x03\x04": "a zip archive or a workbook",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
}
FORMATS: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
BATCH_BYTES = 1 << 24


class FormatReader(Protocol):
    """Reads a format in batches."""

    def __call__(self, path: Path, data: DataConfig, *, batch_bytes: int) -> Iterator[pa.RecordBatch]:
        """Read the required columns, all as strings."""


READERS: Mapping[Format, FormatReader] = {
    "csv": stream_delimited,
    "jsonl": stream_json_lines,
    "parquet": stream_parquet,
}


def read_labeled_texts(path: Path, data: DataConfig) -> pd.DataFrame:
    """Read the data file into the canonical table (see `atnet.schema`), indexed by row position from 1.

    Raises:
        ConfigurationError: if `data.encoding` or `data.separator` is invalid.
        DataFileError: if the file is missing, empty, cut short or not of the configured format.
        DataContractError: if a column is missing or has invalid values.
    """
    raw = read_raw_columns(path, data)
    try:
        return to_canonical(raw, data.columns)
    except DataContractError as error:
        raise DataContractError(f"{path}: {error}") from error


def read_raw_columns(path: Path, data: DataConfig) -> pd.DataFrame:
    """Read the columns that `data.columns` names, under the names they have in the file, all as strings.

    CSV has no nulls: an empty cell is an empty string. Raises the same errors as `read_labeled_texts`.
    """
    schema = pa.schema([(name, pa.string()) for name in required_columns(data.columns)])
    table = pa.Table.from_batches(stream_raw_columns(path, data), schema)
    if table.num_rows == 0:
        raise no_rows_error(path)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def stream_raw_columns(path: Path, data: DataConfig, *, batch_bytes: int = BATCH_BYTES) -> Iterator[pa.RecordBatch]:
    """Read what `read_raw_columns` reads in batches of about `batch_bytes`; a file without rows has none.

    An error in a later part of the file is raised only when the batches before it have been read.
    """
    check_encoding(data.encoding)
    return READERS[_file_format(path, data)](path, data, batch_bytes=batch_bytes)


def _file_format(path: Path, data: DataConfig) -> Format:
    with open_bytes(path) as stream:
        start = stream.read(CHUNK_BYTES)
    if not start.removeprefix(b"\xef\xbb\xbf").strip():
        raise DataFileError(f"{path} is empty. Add the labeled texts, or set data.path to another file.")
    for magic, kind in UNSUPPORTED_MAGICS.items():
        if start.startswith(magic):
            raise DataFileError(f"{path} is {kind}. Save it as CSV, JSON Lines or Parquet, plain or with gzip.")
    if data.format != "auto":
        return data.format
    if start.startswith(PARQUET_MAGIC):
        return "parquet"
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".gzip")]
    return FORMATS.get(suffixes[-1], "csv") if suffixes else "csv"
