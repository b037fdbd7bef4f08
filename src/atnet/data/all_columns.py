"""Read every column of a data file, regardless of the settings."""

import gzip
import io
import json
from itertools import islice
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from atnet.config import ColumnsConfig, DataConfig
from atnet.data.columns import WithExtraColumns
from atnet.data.delimited_layout import delimited_layout
from atnet.data.raw_bytes import open_bytes
from atnet.data.reader import Format, SourceFile, detect_format, read_raw_columns
from atnet.errors import DataFileError

HEAD_LINES = 1000
"""Lines of a JSON Lines file that are searched for keys."""


def read_all_columns(path: Path, data: DataConfig) -> tuple[pd.DataFrame, SourceFile]:
    """Read all columns that contain texts or numbers, as strings; lists and objects are skipped.

    Args:
        path: the file.
        data: format, encoding, separator and quoting; its columns are not used.

    Raises:
        DataFileError: if the file cannot be read.
        DataContractError: if two columns have the same name.
    """
    names = column_names(path, data)
    if not names:
        raise DataFileError(f"{path} has no column of texts or numbers.")
    only_first = ColumnsConfig(text=names[0], label=None, id=None, split=None, rating=None, weight=None, slices=[])
    return read_raw_columns(path, data.model_copy(update={"columns": WithExtraColumns.of(only_first, names)}))


def column_names(path: Path, data: DataConfig) -> list[str]:
    """Return the names of the columns that contain texts or numbers, in the order of the file.

    Raises:
        DataFileError: if the file is missing, empty or of an unsupported type.
    """
    readers = {"csv": _csv_names, "jsonl": _json_names, "parquet": _parquet_names}
    file_format: Format = detect_format(path, data)
    return readers[file_format](path, data)


def _csv_names(path: Path, data: DataConfig) -> list[str]:
    return delimited_layout(path, data).header


def _json_names(path: Path, data: DataConfig) -> list[str]:
    names: dict[str, None] = {}
    nested: set[str] = set()
    with open_bytes(path) as stream:
        lines = io.TextIOWrapper(stream, encoding=data.encoding, errors="replace")
        for line in islice(lines, HEAD_LINES):
            try:
                record = json.loads(line.removeprefix("\ufeff"))
            except ValueError:
                continue  # the reader reports the line
            if isinstance(record, dict):
                names |= dict.fromkeys(record)
                nested |= {name for name, value in record.items() if isinstance(value, list | dict)}
    return [name for name in names if name not in nested]


def _parquet_names(path: Path, data: DataConfig) -> list[str]:
    try:
        with open_bytes(path) as stream:
            source = io.BytesIO(stream.read()) if isinstance(stream, gzip.GzipFile) else stream
            schema = pq.read_schema(source)
    except (pa.ArrowException, OSError) as error:
        raise DataFileError(f"{path} is damaged or not a Parquet file ({error}). Copy or write it again.") from error
    # The index of a pandas frame is not a column of the table.
    return [
        field.name
        for field in schema
        if not pa.types.is_nested(field.type) and not pa.types.is_binary(field.type) and "__index_" not in field.name
    ]
