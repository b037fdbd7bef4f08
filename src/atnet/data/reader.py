"""Read the labeled texts as they come: CSV, JSON Lines or Parquet, gzip or not."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from atnet.config import DataConfig
from atnet.data.columns import to_canonical, wanted_columns
from atnet.data.delimited import stream_delimited
from atnet.data.raw_bytes import CHUNK_BYTES, check_encoding, no_rows, open_bytes
from atnet.data.records import stream_json_lines, stream_parquet
from atnet.errors import DataContractError, DataFileError

Format = Literal["csv", "jsonl", "parquet"]
PARQUET_MAGIC = b"PAR1"
OTHER_MAGICS = {
    b"PK\x03\x04": "a zip archive or a workbook",
    b"BZh": "packed with bzip2",
    b"\xfd7zXZ": "packed with xz",
    b"\x28\xb5\x2f\xfd": "packed with zstd",
}
FORMATS: Mapping[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
READERS: Mapping[Format, Callable[[Path, DataConfig], Iterator[pa.RecordBatch]]] = {
    "csv": stream_delimited,
    "jsonl": stream_json_lines,
    "parquet": stream_parquet,
}


def load_source(path: Path, data: DataConfig) -> pd.DataFrame:
    """Read the data file into the canonical table of table.py; its index is the row's position, from 1.

    Raises:
        ConfigurationError: if `data.encoding` or `data.separator` is not one.
        DataFileError: if the file is missing, empty, cut short or not what it is said to be.
        DataContractError: if a column is missing or holds what it cannot.
    """
    raw = read_source(path, data)
    try:
        return to_canonical(raw, data.columns)
    except DataContractError as error:
        raise DataContractError(f"{path}: {error}") from error


def read_source(path: Path, data: DataConfig) -> pd.DataFrame:
    """Read the columns that `data.columns` names, under the file's own names, all as strings.

    CSV has no nulls: an empty cell is an empty string. Raises as `load_source` does.
    """
    schema = pa.schema([(name, pa.string()) for name in wanted_columns(data.columns)])
    table = pa.Table.from_batches(stream_source(path, data), schema)
    if table.num_rows == 0:
        raise no_rows(path)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def stream_source(path: Path, data: DataConfig) -> Iterator[pa.RecordBatch]:
    """Read what `read_source` reads in batches of bounded size; a file without rows has none.

    A fault further down in the file is raised only when the batches before it have been read.
    """
    check_encoding(data.encoding)
    return READERS[_format(path, data)](path, data)


def _format(path: Path, data: DataConfig) -> Format:
    with open_bytes(path) as stream:
        start = stream.read(CHUNK_BYTES)
    if not start.removeprefix(b"\xef\xbb\xbf").strip():
        raise DataFileError(f"{path} is empty. Put the labeled texts in, or set data.path to another file.")
    for magic, name in OTHER_MAGICS.items():
        if start.startswith(magic):
            raise DataFileError(f"{path} is {name}. Save it as CSV, JSON Lines or Parquet, plain or with gzip.")
    if data.format != "auto":
        return data.format
    if start.startswith(PARQUET_MAGIC):
        return "parquet"
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".gzip")]
    return FORMATS.get(suffixes[-1], "csv") if suffixes else "csv"
