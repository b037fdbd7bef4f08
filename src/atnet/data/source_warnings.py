"""Collect, batch by batch, what is probably wrong with a data file."""

from collections.abc import Iterator

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from atnet.config import DataConfig
from atnet.data.encodings import C1_CHARACTERS, canonical_name

MAX_ROWS = 5
"""Rows listed in a warning."""


class SourceWarnings:
    """Looks for signs of a wrong encoding and for repeated headers in the raw columns of a file."""

    def __init__(self, data: DataConfig, file_format: str) -> None:
        self._data = data
        self._is_latin = file_format != "parquet" and canonical_name(data.encoding).startswith("iso8859")
        self._rows = self._c1_rows = self._first_c1_row = self._header_rows = 0
        self._first_header_rows: list[int] = []

    def add(self, raw: pd.DataFrame) -> None:
        """Look at the next rows: the required columns, all as strings."""
        if self._is_latin:
            self._count_c1(pa.array(raw[self._data.columns.text], pa.large_string()))
        suspects = raw[(raw.iloc[:, 0] == raw.columns[0]).to_numpy()]
        if len(suspects):
            positions = (raw.iloc[:, 0] == raw.columns[0]).to_numpy().nonzero()[0]
            is_header = (suspects == list(raw.columns)).all(axis="columns").to_numpy()
            rows = (positions[is_header] + self._rows + 1).tolist()
            self._header_rows += len(rows)
            self._first_header_rows = (self._first_header_rows + rows)[:MAX_ROWS]
        self._rows += len(raw)

    def messages(self) -> tuple[str, ...]:
        """Return a message for each sign, with the next step."""
        return tuple(self._messages())

    def _messages(self) -> Iterator[str]:
        if self._c1_rows:
            yield (
                f"{self._c1_rows:,} texts (first: data row {self._first_c1_row:,}) contain control characters where "
                f"Windows-1252 has quotes, dashes and the euro sign: data.encoding is {self._data.encoding}, but the "
                "file is probably cp1252."
            )
        if self._header_rows:
            listed = ", ".join(f"{row:,}" for row in self._first_header_rows)
            listed += ", …" if self._header_rows > MAX_ROWS else ""
            # A file that was put together from several ones.
            yield f"data row {listed} repeats the header. Remove it from the file."

    def _count_c1(self, texts: pa.Array) -> None:
        has_c1 = pc.match_substring_regex(texts, C1_CHARACTERS)
        rows = pc.sum(has_c1).as_py() or 0
        if rows and not self._c1_rows:
            self._first_c1_row = self._rows + pc.index(has_c1, True).as_py() + 1
        self._c1_rows += rows
