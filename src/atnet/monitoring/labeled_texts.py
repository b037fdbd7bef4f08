"""Read labeled texts in batches, with the same errors as reading them all at once."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from atnet.config import DataConfig
from atnet.data.column_values import InvalidColumnsError
from atnet.data.columns import to_canonical
from atnet.data.raw_bytes import no_rows_error
from atnet.data.reader import stream_raw_columns
from atnet.errors import DataContractError

BATCH_BYTES = 4 << 20


def stream_labeled_texts(path: Path, data: DataConfig) -> Iterator[pd.DataFrame]:
    """Yield what `data.reader.read_labeled_texts` reads in batches, indexed by row position from 1.

    Raises the same errors, but one in a later part of the file only after the batches before it.
    """
    invalid: InvalidColumnsError | None = None
    row = 1
    for batch in stream_raw_columns(path, data, batch_bytes=BATCH_BYTES):
        raw: pd.DataFrame = batch.to_pandas()
        try:
            canonical = to_canonical(raw, data.columns, first_row=row)
        except InvalidColumnsError as error:
            invalid = error if invalid is None else invalid.and_later(error)
        row += len(raw)
        if invalid is None:
            yield canonical
    if invalid is not None:
        raise DataContractError(f"{path}: {invalid}") from invalid
    if row == 1:
        raise no_rows_error(path)
