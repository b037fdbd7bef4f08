"""Which rows are worth a person's time.

Four reasons, each with an order of its own: a label of the current data that is likely wrong (cleanlab), a text that
champion and challenger answer differently, a text that the champion is least sure of, a text that is least like the
held-out ones. No text is listed twice, and none that has a label already, unless that label is the question.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from atnet.table import ID, LABEL, TEXT, TEXT_HASH

LABEL_ISSUE, DISAGREEMENT, LEAST_SURE, DRIFT = "label issue", "disagreement", "least sure", "drift"
REASONS = (LABEL_ISSUE, DISAGREEMENT, LEAST_SURE, DRIFT)
NEW_ID = "review-{}"
"""Id of a row that is not in the data yet: of its text's hash."""
COLUMNS = (ID, TEXT, TEXT_HASH, "reason", "predicted", "score", "current_label", "source")


@dataclass(frozen=True, slots=True)
class Candidates:
    """Texts of the newest windows that have no label, each once, with what speaks for looking at them."""

    table: pd.DataFrame
    """`text`, `text_hash`, `predicted`, `source` and the slice columns."""
    probabilities: np.ndarray
    """(N, C) of the champion."""
    drift_scores: np.ndarray
    """(N,) of the classifier, higher is less like the reference; -inf where a text was not scored."""
    challenger: np.ndarray | None
    """(N, C) of the challenger over the champion's labels; None where there is none."""


def select_rows(
    candidates: Candidates, label_issues: pd.DataFrame, *, rows: int, issue_share: float, known: Collection[str]
) -> pd.DataFrame:
    """Choose at most `rows` rows, with the columns COLUMNS, `number` counting them.

    The reasons take turns, so that a list cut short anywhere holds the first of each.

    Args:
        candidates: of the newest windows.
        label_issues: rows of the current data whose label is likely wrong, the likeliest first; `id`, `text`,
            `text_hash`, `label`, `suggested`, `score`.
        rows: of the list at most.
        issue_share: share of the list for them.
        known: hashes of texts that have a label; they are not asked for again.
    """
    orders = [_disagreement(candidates), _least_sure(candidates), _drift(candidates)]
    open_rows = ~candidates.table[TEXT_HASH].isin(set(known)).to_numpy()
    ranked = [[(int(row), reason) for row in order if open_rows[row]] for reason, order in orders]
    texts = list(_take_turns(ranked))
    issues = label_issues.drop_duplicates(TEXT_HASH)
    wanted = min(round(issue_share * rows), len(issues))
    # What one kind has too few of, the other may use.
    wanted = min(len(issues), max(wanted, rows - len(texts)))
    chosen = [_window_row(candidates, row, reason) for row, reason in texts[: rows - wanted]]
    chosen += [_issue_row(row) for row in issues.head(wanted).to_dict("records")]
    return pd.DataFrame(chosen, columns=list(COLUMNS)).drop_duplicates(TEXT_HASH).reset_index(drop=True)


def _disagreement(candidates: Candidates) -> tuple[str, Sequence[int]]:
    """Order the texts that the challenger answers otherwise, the surest contradiction first."""
    if candidates.challenger is None:
        return DISAGREEMENT, []
    answered = candidates.probabilities.argmax(axis=1)
    rows = np.flatnonzero(candidates.challenger.argmax(axis=1) != answered)
    gap = candidates.challenger.max(axis=1)[rows] - candidates.challenger[rows, answered[rows]]
    return DISAGREEMENT, rows[np.argsort(-gap, kind="stable")].tolist()


def _least_sure(candidates: Candidates) -> tuple[str, Sequence[int]]:
    """Order the texts by the distance of their two best labels, the smallest first."""
    if len(candidates.probabilities) == 0:
        return LEAST_SURE, []
    best = np.sort(candidates.probabilities, axis=1)
    return LEAST_SURE, np.argsort(best[:, -1] - best[:, -2], kind="stable").tolist()


def _drift(candidates: Candidates) -> tuple[str, Sequence[int]]:
    order = np.argsort(-candidates.drift_scores, kind="stable")
    return DRIFT, order[np.isfinite(candidates.drift_scores[order])].tolist()


def _take_turns(ranked: Sequence[Sequence[tuple[int, str]]]) -> Iterator[tuple[int, str]]:
    """Take one row of each order in turn; a row that was taken for another reason is passed over at once."""
    taken: set[int] = set()
    places = [iter(order) for order in ranked]
    while places:
        left = []
        for place in places:
            choice = next((pair for pair in place if pair[0] not in taken), None)
            if choice is not None:
                taken.add(choice[0])
                left.append(place)
                yield choice
        places = left


def _window_row(candidates: Candidates, row: int, reason: str) -> dict[str, object]:
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
        "predicted": row["suggested"],
        "score": row["score"],
        "current_label": row[LABEL],
        "source": row["split"],
    }
