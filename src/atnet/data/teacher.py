"""Class probabilities that a teacher wrote into the data file: a larger model, or a vote of several.

A model that learns from them instead of from labels alone is a student (Hinton et al. 2015, "Distilling the knowledge
in a neural network"; Tang et al. 2019, "Distilling task-specific knowledge from BERT into simple neural networks").
A row with probabilities needs no label: it is used in training only, with the most probable label, marked as not hard.

Letters in array names: N rows, C labels of the teacher.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from atnet.data.column_values import InvalidValuesError, literal, numbers
from atnet.data.label_checks import did_you_mean, listed_labels
from atnet.data.label_mapping import LabeledTable, fold_label
from atnet.errors import ConfigurationError, DataContractError
from atnet.schema import HARD_LABEL, LABEL, teacher_column, teacher_labels

SUM_TOLERANCE = 0.01
"""The probabilities of a row add up to 1 plus or minus this: teachers write them with two decimals or more."""
NO_TEACHER = "set data.columns.teacher: null to train without a teacher"


def folded_teacher(teacher: Mapping[str, str]) -> dict[str, str]:
    """Return the column of each label, labels folded as those of the rows are, and sorted.

    Raises:
        ConfigurationError: if two labels become the same.
    """
    folded = {fold_label(label): column for label, column in teacher.items()}
    if len(folded) < len(teacher):
        raise ConfigurationError(
            "data.columns.teacher has labels that differ only in white space or Unicode form; keep one of them."
        )
    return dict(sorted(folded.items()))


def teacher_probabilities(raw: pd.DataFrame, teacher: Mapping[str, str]) -> dict[str, pd.Series]:
    """Convert the teacher's columns: probabilities that add up to exactly 1, or nulls for a row without any.

    Args:
        raw: columns of the file, all strings.
        teacher: label -> column, as configured.

    Raises:
        InvalidValuesError: if a probability is not a number, negative or missing, or if those of a row do not add up.
    """
    columns = folded_teacher(teacher)
    table = pd.DataFrame(
        {
            label: numbers(raw[name], f"teacher's probability of {literal(label)}", NO_TEACHER)
            for label, name in columns.items()
        }
    )
    _require_complete(table, columns)
    negative = table < 0
    for label, name in columns.items():
        if negative[label].any():
            raise InvalidValuesError(
                raw[name],
                negative[label],
                f"the teacher's probability of {literal(label)} in data row {{row}} is {{value}}, below 0 ({{rows}} "
                f"such rows). Write probabilities into {literal(name)}, not logits, or {NO_TEACHER}.",
            )
    total = table.sum(axis="columns", min_count=len(columns))
    _require_sum_of_one(total)
    return {teacher_column(label): table[label] / total for label in columns}


def label_by_teacher(labeled: LabeledTable) -> LabeledTable:
    """Give rows without a label the teacher's most probable one, and mark which labels are hard.

    A row that a rule excludes stays excluded. Without teacher columns, nothing changes.
    """
    table = labeled.table
    labels = teacher_labels(table.columns)
    if not labels:
        return labeled
    probability_NC = table[list(map(teacher_column, labels))].to_numpy()
    teacher_only = table[LABEL].isna() & labeled.excluded_by.isna() & ~np.isnan(probability_NC[:, 0])
    most_probable = pd.Series(np.array(labels, dtype=object)[probability_NC.argmax(axis=1)], index=table.index)
    label = table[LABEL].mask(teacher_only, most_probable)
    return replace(labeled, table=table.assign(**{LABEL: label, HARD_LABEL: ~teacher_only}))


def check_teacher_labels(labels: Mapping[str, int], teacher: Mapping[str, str] | None) -> None:
    """Check that the teacher has a probability for every label, and for no other.

    Args:
        labels: rows of each label, without those that only the teacher labels.
        teacher: label -> column, as configured; None without a teacher.

    Raises:
        DataContractError: with each label that the teacher does not know, and each that no row has.
    """
    if teacher is None:
        return
    known, present = folded_teacher(teacher), {label: rows for label, rows in labels.items() if rows}
    unknown = {label: rows for label, rows in present.items() if label not in known}
    without_rows = [label for label in known if label not in present]
    problems = []
    if unknown:
        problems.append(
            f"data.columns.teacher has no column for {listed_labels(unknown)}. Add the column, exclude these rows with "
            f"validate.label_map, or {NO_TEACHER}."
        )
    if without_rows and present:
        names = ", ".join(f"{label!r}{did_you_mean(label, list(present))}" for label in without_rows)
        problems.append(
            f"data.columns.teacher: no row has the label {names}. The labels are {listed_labels(present)}. Correct the "
            "name, or leave that label out and divide the other probabilities by their sum."
        )
    if problems:
        raise DataContractError(" Also: ".join(problems))


def _require_complete(table: pd.DataFrame, columns: Mapping[str, str]) -> None:
    missing = table.isna()
    partly = missing.any(axis="columns") & ~missing.all(axis="columns")
    if partly.any():
        first_missing = pd.Series([columns[str(label)] for label in missing.idxmax(axis="columns")], index=table.index)
        raise InvalidValuesError(
            first_missing,
            partly,
            "data row {row} has no probability in the teacher's column {value}, but one in another ({rows} such rows). "
            "Write all probabilities of a row, or none.",
        )


def _require_sum_of_one(total: pd.Series) -> None:
    wrong = (total - 1).abs() > SUM_TOLERANCE
    if wrong.any():
        # Python's floats: those of NumPy print with their type.
        rounded = pd.Series([round(float(value), 4) for value in total], index=total.index, dtype=object)
        raise InvalidValuesError(
            rounded,
            wrong,
            "the teacher's probabilities of data row {row} add up to {value}, not to 1 ({rows} such rows; allowed "
            f"difference {SUM_TOLERANCE}). Write the softmax of the teacher's outputs, a column for each label, with "
            f"enough decimals, or {NO_TEACHER}.",
        )
