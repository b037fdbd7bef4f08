"""Select the rows that are worth labeling.

Four reasons, each with its own order: a label of the current data that is probably wrong (cleanlab), a text for which
champion and challenger predict different labels, a text with the least certain prediction, a text that is least like
the held-out ones. No text is listed twice, and no text that already has a label, unless that label is in question.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from atnet.schema import ID, SPLIT, TEXT, TEXT_HASH
from atnet.text_hashes import TextHashes

LABEL_ISSUE, DISAGREEMENT, LEAST_CERTAIN, DRIFT = "label issue", "disagreement", "least certain", "drift"
REASONS = (LABEL_ISSUE, DISAGREEMENT, LEAST_CERTAIN, DRIFT)
NEW_ID = "review-{}"
"""Id of a row that is not in the data yet, from the hash of its text."""
ISSUE_COLUMNS = (ID, TEXT, TEXT_HASH, "given_label", "predicted_label", "predicted_probability", SPLIT)
"""Columns of `label_issue_table` that are needed, and the hash of the text."""
COLUMNS = (ID, TEXT, TEXT_HASH, "reason", "predicted", "score", "current_label", "source")


@dataclass(frozen=True, slots=True)
class ReviewCandidates:
    """The distinct texts of the newest windows, with the values that rank them."""

    table: pd.DataFrame
    """`text`, `text_hash`, `predicted`, `source` and the slice columns."""
    probabilities: np.ndarray
    """(N, C) probabilities of the champion."""
    drift_scores: np.ndarray
    """(N,) log-odds of the classifier, higher is less like the reference; -inf if a text was not scored."""
    challenger: np.ndarray | None
    """(N, C) probabilities of the challenger for the champion's labels; None if there is none."""


def select_rows(
    candidates: ReviewCandidates,
    label_issues: pd.DataFrame,
    *,
    rows: int,
    issue_fraction: float,
    known: TextHashes,
) -> pd.DataFrame:
    """Select at most `rows` rows, with the columns COLUMNS.

    The reasons take turns, so that the first rows of the list have the strongest of each.

    Args:
        candidates: of the newest windows.
        label_issues: rows of the current data whose label is probably wrong, the least plausible label first, with
            the columns ISSUE_COLUMNS.
        rows: largest number of rows.
        issue_fraction: share of the list for label issues.
        known: texts that already have a label.
    """
    orders = [_disagreement(candidates), _least_certain(candidates), _drift(candidates)]
    open_rows = ~known.contains(candidates.table[TEXT_HASH])
    ranked = [[(int(row), reason) for row in order if open_rows[row]] for reason, order in orders]
    texts = list(_take_turns(ranked))
    issues = label_issues.drop_duplicates(TEXT_HASH)
    issue_rows = min(round(issue_fraction * rows), len(issues))
    # If there are too few rows of one kind, the other fills the list.
    issue_rows = min(len(issues), max(issue_rows, rows - len(texts)))
    chosen = [_window_row(candidates, row, reason) for row, reason in texts[: rows - issue_rows]]
    chosen += [_issue_row(row) for row in issues.head(issue_rows).to_dict("records")]
    return pd.DataFrame(chosen, columns=list(COLUMNS)).drop_duplicates(TEXT_HASH).reset_index(drop=True)


def _disagreement(candidates: ReviewCandidates) -> tuple[str, Sequence[int]]:
    """Order the texts for which the challenger predicts another label, the largest difference first."""
    if candidates.challenger is None:
        return DISAGREEMENT, []
    predicted = candidates.probabilities.argmax(axis=1)
    rows = np.flatnonzero(candidates.challenger.argmax(axis=1) != predicted)
    gap = candidates.challenger.max(axis=1)[rows] - candidates.challenger[rows, predicted[rows]]
    return DISAGREEMENT, rows[np.argsort(-gap, kind="stable")].tolist()


def _least_certain(candidates: ReviewCandidates) -> tuple[str, Sequence[int]]:
    """Order the texts by the difference of their two largest probabilities, the smallest first."""
    if len(candidates.probabilities) == 0:
        return LEAST_CERTAIN, []
    best = np.sort(candidates.probabilities, axis=1)
    return LEAST_CERTAIN, np.argsort(best[:, -1] - best[:, -2], kind="stable").tolist()


def _drift(candidates: ReviewCandidates) -> tuple[str, Sequence[int]]:
    order = np.argsort(-candidates.drift_scores, kind="stable")
    return DRIFT, order[np.isfinite(candidates.drift_scores[order])].tolist()


def _take_turns(ranked: Sequence[Sequence[tuple[int, str]]]) -> Iterator[tuple[int, str]]:
    """Yield one row of each order in turn, without those that were already taken for another reason."""
    taken: set[int] = set()
    orders = [iter(order) for order in ranked]
    while orders:
        left = []
        for order in orders:
            choice = next((pair for pair in order if pair[0] not in taken), None)
            if choice is not None:
                taken.add(choice[0])
                left.append(order)
                yield choice
        orders = left


def _window_row(candidates: ReviewCandidates, row: int, reason: str) -> dict[str, object]:
    values = candidates.table.iloc[row]
    return {
        ID: NEW_ID.format(values[TEXT_HASH]),
        TEXT: values[TEXT],
        TEXT_HASH: values[TEXT_HASH],
        "reason": reason,
        "predicted": values["predicted"],
        "score": round(float(candidates.probabilities[row].max()), 6),
        "current_label": "",
        "source": values["source"],
    }


def _issue_row(row: Mapping[Any, Any]) -> dict[str, object]:
    return {
        ID: row[ID],
        TEXT: row[TEXT],
        TEXT_HASH: row[TEXT_HASH],
        "reason": LABEL_ISSUE,
        "predicted": row["predicted_label"],
        "score": row["predicted_probability"],
        "current_label": row["given_label"],
        "source": row[SPLIT],
    }
