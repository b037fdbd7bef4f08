"""Merge reviewed labels into the rows of the data file: correct labels, or add new rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from atnet.config import ColumnsConfig, LabelFromRatingConfig, ValidateConfig
from atnet.errors import MonitoringError
from atnet.monitoring.raw_rows import RawRows
from atnet.schema import ID, TEXT, TEXT_HASH, text_hash


@dataclass(frozen=True, slots=True)
class MergedRows:
    """The rows of the data file after a review."""

    rows: list[dict[str, Any]]
    added: int
    corrected: int
    confirmed: int
    """Rows whose label did not change, and rows that were merged before."""


def merge_review(
    raw: RawRows, labels: Mapping[str, str], listed: pd.DataFrame, columns: ColumnsConfig, validate: ValidateConfig
) -> MergedRows:
    """Correct the labels of rows that are in the data, and add those that are not.

    Rows are matched by their text, so a file needs no ids, and merging a review twice changes nothing.

    Args:
        raw: the data file.
        labels: id on the list -> label.
        listed: rows of the lists, with `id`, `text`, `text_hash` and the slice columns.
        columns: the file's names.
        validate: how labels are derived.

    Raises:
        MonitoringError: if a label cannot be expressed in the file.
    """
    rows = [dict(row) for row in raw.rows]
    positions: dict[str, list[int]] = {}
    for position, row in enumerate(rows):
        if isinstance(row.get(columns.text), str):
            positions.setdefault(text_hash(row[columns.text]), []).append(position)
    writer = _writer(rows, columns, validate)
    added = corrected = confirmed = 0
    by_id = {str(row[ID]): row for row in listed.drop_duplicates(ID).to_dict("records")}
    for name, label in labels.items():
        entry = by_id[name]
        known = positions.get(entry[TEXT_HASH])
        if known is None:
            rows.append(_new_row(raw, name, entry, label, columns, writer))
            added += 1
            continue
        wrong = [position for position in known if writer.label(rows[position]) != label]
        for position in wrong:
            rows[position] |= writer.cells(label)
        corrected, confirmed = corrected + bool(wrong), confirmed + (not wrong)
    return MergedRows(rows, added, corrected, confirmed)


class _LabelColumn:
    """Labels that are written in a column."""

    def __init__(self, column: str, label_map: Mapping[str, str | None]) -> None:
        self._column, self._map = column, label_map

    def label(self, row: Mapping[str, Any]) -> str:
        value = str(row.get(self._column) or "")
        # A label that is mapped to null excludes the row, as an empty one does.
        return self._map.get(value, value) or ""

    def cells(self, label: str) -> dict[str, Any]:
        if self._map.get(label, label) != label:
            mapped = "null" if self._map[label] is None else repr(self._map[label])
            raise MonitoringError(
                f"validate.label_map turns the label {label!r} into {mapped}, so it cannot be "
                "written. Rename one of them."
            )
        return {self._column: label}


class _RatingColumn:
    """Labels derived from the sign of a rating: a reviewed row gets the median absolute rating."""

    def __init__(self, column: str, rule: LabelFromRatingConfig, rows: Sequence[Mapping[str, Any]]) -> None:
        self._column, self._rule = column, rule
        self._as_text = any(isinstance(row.get(column), str) for row in rows)
        strengths = [abs(value) for row in rows if (value := _number(row.get(column))) is not None]
        strong = [value for value in strengths if value > rule.neutral_band]
        self._strength = median(strong) if strong else rule.neutral_band + 1

    def label(self, row: Mapping[str, Any]) -> str:
        value = _number(row.get(self._column))
        if value is None or abs(value) <= self._rule.neutral_band:
            return ""
        return self._rule.positive if value > 0 else self._rule.negative

    def cells(self, label: str) -> dict[str, Any]:
        signs = {self._rule.positive: 1, self._rule.negative: -1}
        if label not in signs:
            raise MonitoringError(
                f"The label {label!r} cannot be written: validate.label_from_rating derives only {' and '.join(signs)}."
            )
        value = signs[label] * self._strength
        return {self._column: f"{value:g}" if self._as_text else value}


def _writer(
    rows: Sequence[Mapping[str, Any]], columns: ColumnsConfig, validate: ValidateConfig
) -> _LabelColumn | _RatingColumn:
    if validate.label_from_rating is not None:
        assert columns.rating is not None
        return _RatingColumn(columns.rating, validate.label_from_rating, rows)
    assert columns.label is not None
    return _LabelColumn(columns.label, validate.label_map)


def _new_row(
    raw: RawRows,
    name: str,
    entry: Mapping[Any, Any],
    label: str,
    columns: ColumnsConfig,
    writer: _LabelColumn | _RatingColumn,
) -> dict[str, Any]:
    """Build a row under the file's column names; unknown values are empty."""
    empty = "" if raw.source.format == "csv" else None
    row: dict[str, Any] = dict.fromkeys(raw.columns, empty)
    row |= {columns.text: entry[TEXT], **writer.cells(label)}
    if columns.id is not None:
        row[columns.id] = name
    if columns.split is not None:
        # Rows that were selected for being hard would change what an official test split measures.
        row[columns.split] = "train"
    if columns.weight is not None:
        row[columns.weight] = "1" if raw.source.format == "csv" else 1.0
    for column in columns.slices:
        if column in entry and isinstance(entry[column], str):
            row[column] = entry[column]
    return row


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
