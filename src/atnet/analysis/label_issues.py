"""Labels that are likely wrong, by confident learning (Northcutt, Jiang & Chuang 2021), with cleanlab.

Letters in array names: N rows, C labels, F flagged rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cleanlab.filter
import numpy as np
import pandas as pd
from cleanlab.rank import get_label_quality_scores

from atnet.analysis.folds import Fold
from atnet.analysis.tasks import LearnerPredictions, Task
from atnet.evaluation.metrics import Floats, Ints
from atnet.schema import ID, LABEL, RATING, SPLIT, TEXT, slice_columns


@dataclass(frozen=True, slots=True)
class LabelIssues:
    """What out-of-fold answers say about the given labels."""

    labels: list[str]
    given: Ints
    """(N,) class of each row's label."""
    probabilities: Floats
    """(N, C) from models that have not seen the row or its near duplicates."""
    quality: Floats
    """(N,) how well the label fits, 0 to 1: the probability of the given label."""
    flagged: Ints
    """(F,) positions of the rows whose label is likely wrong, the likeliest first."""

    @property
    def wrong(self) -> np.ndarray:
        """(N,) true where the models chose another label: the mistakes of the model and of the labels together."""
        return np.asarray(self.probabilities.argmax(axis=1) != self.given)


def fold_tasks(folds: Sequence[Fold], table: pd.DataFrame) -> list[Task]:
    """Make one task for each fold: learn from the others, answer for its texts."""
    texts = table[TEXT]
    return [Task(fold.train, fold.stopping, texts.iloc[fold.rows].tolist()) for fold in folds]


def find_label_issues(table: pd.DataFrame, folds: Sequence[Fold], answers: Sequence[LearnerPredictions]) -> LabelIssues:
    """Estimate from out-of-fold answers how many labels of each kind are wrong, and name that many rows.

    Args:
        folds: all of the table's.
        answers: one for each fold, of `fold_tasks`.
    """
    labels = sorted(table[LABEL].unique().tolist())
    given_N = pd.Index(labels).get_indexer(pd.Index(table[LABEL])).astype(np.int64)
    probabilities_NC = np.zeros((len(table), len(labels)))
    for fold, answered in zip(folds, answers, strict=True):
        probabilities_NC[fold.rows] = answered.over(labels).mean(axis=0)
    flagged_F = cleanlab.filter.find_label_issues(
        given_N,
        probabilities_NC,
        filter_by="prune_by_noise_rate",
        return_indices_ranked_by="self_confidence",
        # With several processes the order of equal rows, and the time, depend on the machine.
        n_jobs=1,
    )
    quality_N = get_label_quality_scores(given_N, probabilities_NC, method="self_confidence")
    return LabelIssues(labels, given_N, probabilities_NC, np.asarray(quality_N), np.asarray(flagged_F, dtype=np.int64))


def label_issue_table(table: pd.DataFrame, found: LabelIssues) -> pd.DataFrame:
    """List the flagged rows, the likeliest wrong first, with the label that the models suggest."""
    chosen = table.iloc[found.flagged]
    probability_FC = found.probabilities[found.flagged]
    listed = pd.DataFrame(
        {
            "rank": np.arange(1, len(chosen) + 1),
            ID: chosen[ID].to_numpy(),
            SPLIT: chosen[SPLIT].to_numpy(),
            "label": chosen[LABEL].to_numpy(),
            "suggested": np.array(found.labels, dtype=object)[probability_FC.argmax(axis=1)],
            "score": found.quality[found.flagged].round(6),
            "suggested_probability": probability_FC.max(axis=1).round(6),
        }
    )
    kept = [*([RATING] if RATING in table else []), *slice_columns(table), TEXT]
    return listed.assign(**{column: chosen[column].to_numpy() for column in kept})


def label_issue_counts(found: LabelIssues) -> list[dict[str, object]]:
    """Count rows and flagged rows by given label."""
    rows_C = np.bincount(found.given, minlength=len(found.labels)).tolist()
    flagged_C = np.bincount(found.given[found.flagged], minlength=len(found.labels)).tolist()
    return [
        {"label": label, "rows": rows, "flagged": flagged}
        for label, rows, flagged in zip(found.labels, rows_C, flagged_C, strict=True)
    ]
