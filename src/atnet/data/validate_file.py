"""Validate a data file in batches; facts about the whole file that a batch needs are computed first."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from atnet.batch_engine import BatchMapper
from atnet.config import DataConfig, ValidateConfig
from atnet.data.check_results import CheckRunner
from atnet.data.checked_rows import BatchFacts, CheckedRows, check_batch
from atnet.data.column_values import InvalidColumnsError, blank_to_null
from atnet.data.columns import canonical_ids, to_canonical
from atnet.data.data_checks import DataCheck
from atnet.data.label_mapping import fold_labels
from atnet.data.raw_table import RawTable
from atnet.data.repeated_ids import RepeatedIds, find_repeated_ids
from atnet.data.validation import ValidationResult, ValidationTotals, checked_settings
from atnet.errors import DataContractError

WriteRows = Callable[[CheckedRows], None]


def ignore_rows(rows: CheckedRows) -> None:
    """Write nothing."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file whose columns have been read."""

    path: Path
    """The path, for messages."""
    data: DataConfig
    """How its columns are named."""
    raw: RawTable

    def texts(self) -> Iterator[list[str]]:
        """Read the texts in batches."""
        name = self.data.columns.text
        return (batch[name].dropna().tolist() for batch in self.raw.batches([name]))


def validate_file(
    file: DataFile, config: ValidateConfig, runner: CheckRunner, write: WriteRows, mapper: BatchMapper = map
) -> ValidationResult:
    """Validate the rows of a file.

    Args:
        file: the data file.
        config: the checks and their limits.
        runner: judges the checks.
        write: called with each batch.
        mapper: calls the functions of single batches.

    Raises:
        ConfigurationError: if the label settings contradict each other.
        DataContractError: if a column has invalid values, or no row has a key of the label map.
    """
    config = checked_settings(label_counts(file, config), config)
    repeated = _repeated_ids(file)
    own_failing = {check: np.array(rows, np.int64) for check, rows in runner.own_failing_rows().items()}
    totals = ValidationTotals()
    batches = ((batch, _facts(batch, repeated, own_failing)) for batch in _canonical_batches(file))
    for checked in mapper(partial(_check, config=config), batches):
        write(checked)
        totals.add(checked)
    return totals.result(config, runner)


def label_counts(file: DataFile, config: ValidateConfig) -> dict[str, int]:
    """Count the folded labels of the file, the most frequent first; nothing if no setting refers to them."""
    name = file.data.columns.label
    if name is None or not config.label_map:
        return {}
    counts: Counter[str] = Counter()
    for batch in file.raw.batches([name]):
        folded = fold_labels(blank_to_null(batch[name]))[0].value_counts()
        counts.update({str(label): int(rows) for label, rows in folded.items()})
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _check(batch: tuple[pd.DataFrame, BatchFacts], *, config: ValidateConfig) -> CheckedRows:
    return check_batch(batch[0], config, batch[1])


def _facts(
    batch: pd.DataFrame, repeated: RepeatedIds, own_failing: Mapping[DataCheck, NDArray[np.int64]]
) -> BatchFacts:
    first, last = batch.index[0], batch.index[-1]
    failing = {check: rows[(rows >= first) & (rows <= last)] for check, rows in own_failing.items()}
    return BatchFacts(repeated.of(batch.index), failing)


def _canonical_batches(file: DataFile) -> Iterator[pd.DataFrame]:
    invalid: InvalidColumnsError | None = None
    for batch in file.raw.batches():
        try:
            canonical = to_canonical(batch, file.data.columns, first_row=int(batch.index[0]))
        except InvalidColumnsError as error:
            invalid = error if invalid is None else invalid.and_later(error)
            continue
        if invalid is None:
            yield canonical
    if invalid is not None:
        raise DataContractError(f"{file.path}: {invalid}") from invalid


def _repeated_ids(file: DataFile) -> RepeatedIds:
    name = file.data.columns.id
    if name is None:
        return RepeatedIds(np.zeros(0, np.int64), np.zeros(0, np.int64))
    columns = file.data.columns
    return find_repeated_ids(lambda: (canonical_ids(batch, columns) for batch in file.raw.batches([name])))
