"""Validate a data file in batches: what a batch needs to know of the whole file is computed before."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from atnet.config import DataConfig, ValidateConfig
from atnet.data.check_results import CheckRunner
from atnet.data.checked_rows import BatchFacts, CheckedRows, check_batch
from atnet.data.columns import InvalidColumnsError, blank_to_null, canonical_ids, to_canonical
from atnet.data.label_mapping import fold_labels
from atnet.data.raw_table import RawTable
from atnet.data.repeated_ids import RepeatedIds, find_repeated_ids
from atnet.data.validation import ValidationResult, ValidationTotals, checked_settings
from atnet.errors import DataContractError

WriteRows = Callable[[CheckedRows], None]


def validate_file(
    raw: RawTable, path: Path, data: DataConfig, config: ValidateConfig, runner: CheckRunner, write: WriteRows
) -> ValidationResult:
    """Validate the rows of a file.

    Args:
        raw: the columns of the file.
        path: the file, for messages.
        data: how its columns are named.
        config: the checks and their limits.
        runner: judges the checks.
        write: called with each batch.

    Raises:
        ConfigurationError: if the label settings contradict each other.
        DataContractError: if a column has invalid values, or no row has a key of the label map.
    """
    config = checked_settings(_label_counts(raw, data, config), config)
    repeated = _repeated_ids(raw, data)
    own_failing = runner.own_failing_rows()
    totals = ValidationTotals()
    for batch in _canonical_batches(raw, path, data):
        checked = check_batch(batch, config, BatchFacts(repeated.of(batch.index), own_failing))
        write(checked)
        totals.add(checked)
    return totals.result(config, runner)


def _canonical_batches(raw: RawTable, path: Path, data: DataConfig) -> Iterator[pd.DataFrame]:
    invalid: InvalidColumnsError | None = None
    for batch in raw.batches():
        try:
            canonical = to_canonical(batch, data.columns, first_row=int(batch.index[0]))
        except InvalidColumnsError as error:
            invalid = error if invalid is None else invalid.and_later(error)
            continue
        if invalid is None:
            yield canonical
    if invalid is not None:
        raise DataContractError(f"{path}: {invalid}") from invalid


def _label_counts(raw: RawTable, data: DataConfig, config: ValidateConfig) -> dict[str, int]:
    """Count the folded labels of the file, the most frequent first; nothing if no setting refers to them."""
    name = data.columns.label
    if name is None or not config.label_map:
        return {}
    counts: Counter[str] = Counter()
    for batch in raw.batches([name]):
        folded = fold_labels(blank_to_null(batch[name]))[0].value_counts()
        counts.update({str(label): int(rows) for label, rows in folded.items()})
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _repeated_ids(raw: RawTable, data: DataConfig) -> RepeatedIds:
    name = data.columns.id
    if name is None:
        return RepeatedIds(np.zeros(0, np.int64), np.zeros(0, np.int64))
    return find_repeated_ids(lambda: (canonical_ids(batch, data.columns) for batch in raw.batches([name])))
