"""Read texts to score in batches of bounded size, with the reader of the stage `validate`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from atnet.config import DataConfig
from atnet.data.columns import to_canonical
from atnet.data.raw_bytes import open_bytes
from atnet.data.reader import FORMATS, stream_raw_columns
from atnet.errors import DataContractError
from atnet.schema import ID, TEXT

TEXTS = pa.schema([("row", pa.int64()), ("id", pa.string()), ("text", pa.string())])
"""Rows to score: position in the input from 1, id, text."""
BATCH_BYTES = 2 << 20
CHUNK_BYTES = 4 << 20
"""A chunk of long texts ends before it has all its rows."""
HEAD_BYTES = 1 << 20
DATA_SUFFIXES = frozenset({".csv", ".tsv", ".txt", *FORMATS})
COMPRESSED = (".gz", ".gzip")


def data_suffix(path: Path) -> str | None:
    """Return the suffix that says how a data file is read, without that of gzip; None if it is not a data file."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in DATA_SUFFIXES else None


def stream_texts(path: Path, data: DataConfig) -> Iterator[pa.RecordBatch]:
    """Read rows of TEXTS in batches; a row without an id is named after its position. An empty file has no rows.

    Raises:
        DataFileError: if the file is missing, damaged or not of its format.
        DataContractError: if a column is missing, or has values that are not texts.
    """
    if _is_blank(path):
        return
    row = 1
    try:
        for batch in stream_raw_columns(path, data, batch_bytes=BATCH_BYTES):
            raw: pd.DataFrame = batch.to_pandas()
            canonical = to_canonical(raw, data.columns, first_row=row)
            rows = pa.array(range(row, row + len(raw)), pa.int64())
            columns = [pa.array(canonical[name], pa.string()) for name in (ID, TEXT)]
            yield pa.record_batch([rows, *columns], schema=TEXTS)
            row += len(raw)
    except DataContractError as error:
        raise DataContractError(
            f"{error} For scoring alone, use --text-column and --id-column, or --number-rows if there are no ids."
        ) from error


def chunked(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Divide batches into chunks of at most so many rows and about CHUNK_BYTES."""
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            chunk = batch.slice(start, rows)
            if chunk.nbytes > CHUNK_BYTES:
                ends = pc.cumulative_sum(pc.binary_length(chunk["text"]).fill_null(0).cast(pa.int64())).to_numpy()
                chunk = chunk.slice(0, max(1, int((ends <= CHUNK_BYTES).sum())))
            yield chunk
            start += chunk.num_rows


def _is_blank(path: Path) -> bool:
    with open_bytes(path) as stream:
        head: bytes = stream.read(HEAD_BYTES)
    return len(head) < HEAD_BYTES and not head.removeprefix(b"\xef\xbb\xbf").strip()
