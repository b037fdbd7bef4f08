"""Read columns with their own types: as Parquet has them, as pandas would read them from CSV or JSON Lines."""

import gzip
import io
from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from atnet.config import DataConfig
from atnet.data.all_columns import column_names
from atnet.data.columns import WithExtraColumns, check_columns
from atnet.data.raw_bytes import open_bytes
from atnet.data.reader import detect_format, read_raw_columns

PADDED_NUMBER = r"^[+-]?0\d"
"""A number with leading zeros, such as a code, which is not one to compute with."""


def read_native_columns(
    path: Path, data: DataConfig, names: Sequence[str], *, as_text: Collection[str], all_columns: bool
) -> pd.DataFrame:
    """Read columns with the types of their values; an empty cell is missing.

    Args:
        path: the data file.
        data: how it is read.
        names: the columns.
        as_text: those that stay strings.
        all_columns: read every column of the file, in its order.

    Raises:
        DataContractError: if a column is missing.
    """
    wanted = column_names(path, data) if all_columns else list(names)
    if detect_format(path, data) == "parquet":
        return _read_parquet(path, data, names, wanted, as_text)
    extra = WithExtraColumns.of(data.columns, list(dict.fromkeys([*wanted, *names])))
    strings, _ = read_raw_columns(path, data.model_copy(update={"columns": extra}))
    columns = {name: strings[name] if name in as_text else infer_type(strings[name]) for name in wanted}
    return pd.DataFrame({name: _empty_to_missing(column) for name, column in columns.items()}, index=strings.index)


def infer_type(values: pd.Series) -> pd.Series:
    """Return numbers if every value is one, truth values if every value is one, or else the strings."""
    filled = values[values.notna() & (values.str.strip() != "")]
    if len(filled) == 0 or filled.str.match(PADDED_NUMBER).any():
        return values
    if filled.str.lower().isin(["true", "false"]).all():
        return values.str.lower().map({"true": True, "false": False})
    try:
        numbers: pd.Series = pd.to_numeric(filled)
    except (ValueError, TypeError):
        return values
    return numbers if len(filled) == len(values) else numbers.astype("float64").reindex(values.index)


def _empty_to_missing(values: pd.Series) -> pd.Series:
    return values.where(values != "") if values.dtype == "str" else values


def _read_parquet(
    path: Path, data: DataConfig, names: Sequence[str], wanted: Sequence[str], as_text: Collection[str]
) -> pd.DataFrame:
    with open_bytes(path) as stream:
        file = pq.ParquetFile(io.BytesIO(stream.read()) if isinstance(stream, gzip.GzipFile) else stream)
        check_columns(file.schema_arrow.names, WithExtraColumns.of(data.columns, names), source=path)
        frame: pd.DataFrame = file.read(columns=list(wanted)).to_pandas(ignore_metadata=True)
    for name in as_text:
        frame[name] = frame[name].astype("str")
    return frame[list(wanted)]
