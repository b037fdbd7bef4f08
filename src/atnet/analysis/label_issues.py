"""Label issues by confident learning (Northcutt, Jiang & Chuang 2021), with cleanlab.

Letters in array names: N rows, C labels, I label issues.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cleanlab.filter
import numpy as np
import pandas as pd
from cleanlab.rank import get_label_quality_scores

from atnet.analysis.folds import Fold
from atnet.analysis.tasks import Task, TaskPredictions
from atnet.evaluation.metrics import Floats, Ints
from atnet.schema import ID, LABEL, RATING, SPLIT, TEXT, slice_columns


@dataclass(frozen=True, slots=True)
class LabelIssues:
    """What out-of-fold predictions show about the given labels."""

    labels: list[str]
    given_labels: Ints
    """(N,) class of each row's label."""
    probabilities: Floats
    """(N, C) from models that were trained on neither the row nor its near duplicates."""
    quality: Floats
    """(N,) label quality, 0 to 1: the probability of the given label."""
    issues: Ints
    """(I,) positions of the rows whose label is probably wrong, lowest quality first."""

    @property
    def mispredicted(self) -> np.ndarray:
        """Return (N,) true where the predicted label differs from the given one; either of the two may be wrong."""
        return np.asarray(self.probabilities.argmax(axis=1) != self.given_labels)


def fold_tasks(folds: Sequence[Fold], table: pd.DataFrame) -> list[Task]:
    """Build a task for each fold: train on the other folds, predict its texts."""
    texts = table[TEXT]
    return [Task(fold.train, fold.validation, texts.iloc[fold.rows].tolist()) for fold in folds]


def find_label_issues(
    table: pd.DataFrame, folds: Sequence[Fold], predictions: Sequence[TaskPredictions]
) -> LabelIssues:
    """Estimate how many labels of each class are wrong, and select that many rows.

    Args:
        table: rows with labels.
        folds: of the whole table.
        predictions: one for each fold, for the tasks of `fold_tasks`.
    """
    labels = sorted(table[LABEL].unique().tolist())
    given_N = pd.Index(labels).get_indexer(pd.Index(table[LABEL])).astype(np.int64)
    probabilities_NC = np.zeros((len(table), len(labels)))
    for fold, predicted in zip(folds, predictions, strict=True):
        probabilities_NC[fold.rows] = predicted.aligned_to(labels).mean(axis=0)
    issues_I = cleanlab.filter.find_label_issues(
        given_N,
        probabilities_NC,
        filter_by="prune_by_noise_rate",
        return_indices_ranked_by="self_confidence",
        # With several processes, the order of equal rows and the time depend on the machine.
        n_jobs=1,
    )
    quality_N = get_label_quality_scores(given_N, probabilities_NC, method="self_confidence")
    return LabelIssues(labels, given_N, probabilities_NC, np.asarray(quality_N), np.asarray(issues_I, dtype=np.int64))


def label_issue_table(table: pd.DataFrame, issues: LabelIssues) -> pd.DataFrame:
    """Tabulate the label issues, lowest label quality first, with the predicted label."""
    rows = table.iloc[issues.issues]
    probability_IC = issues.probabilities[issues.issues]
    columns = pd.DataFrame(
        {
            "rank": np.arange(1, len(rows) + 1),
            ID: rows[ID].to_numpy(),
            SPLIT: rows[SPLIT].to_numpy(),
            "given_label": rows[LABEL].to_numpy(),
            "predicted_label": np.array(issues.labels, dtype=object)[probability_IC.argmax(axis=1)],
            "label_quality": issues.quality[issues.issues].round(6),
            "predicted_probability": probability_IC.max(axis=1).round(6),
        }
    )
    copied = [*([RATING] if RATING in table else []), *slice_columns(table), TEXT]
    return columns.assign(**{column: rows[column].to_numpy() for column in copied})


def label_issue_counts(issues: LabelIssues) -> list[dict[str, object]]:
    """Count rows and label issues by given label."""
    rows_C = np.bincount(issues.given_labels, minlength=len(issues.labels)).tolist()
    issues_C = np.bincount(issues.given_labels[issues.issues], minlength=len(issues.labels)).tolist()
    return [
        {"label": label, "rows": rows, "label_issues": count}
        for label, rows, count in zip(issues.labels, rows_C, issues_C, strict=True)
    ]
