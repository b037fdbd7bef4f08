"""Reread the texts of the newest windows, with the values that rank them for a review.

Monitoring copies no texts: they stay where they were logged, for as long as they are kept there.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from atnet.config import MonitorConfig, Params
from atnet.errors import DataError, MonitoringError
from atnet.monitoring.champion import Champion
from atnet.monitoring.domain_classifier import cross_fit, ngram_gram_matrix
from atnet.monitoring.due_windows import record_days
from atnet.monitoring.monitor_inputs import read_window
from atnet.monitoring.prepared_window import PreparedWindow, prepare_window
from atnet.monitoring.reference import order_by_hash
from atnet.monitoring.review_list import ReviewCandidates
from atnet.monitoring.row_features import hash_ngrams
from atnet.monitoring.window_comparison import ReferenceFeatures, reference_features
from atnet.monitoring.window_records import WindowRecord
from atnet.monitoring.windows import PREDICTED
from atnet.schema import TEXT, TEXT_HASH, slice_columns

logger = logging.getLogger(__name__)

MAX_SCORED = 4000
"""Texts scored for drift; more are sampled."""


def collect_candidates(
    params: Params, root: Path, champion: Champion, challenger: Any | None, windows: Sequence[WindowRecord]
) -> ReviewCandidates:
    """Reread the windows and score their distinct texts; a window that no longer exists is skipped."""
    config = params.monitor
    tables, probabilities = [], []
    for record in windows:
        prepared = _prepared(params, root, champion, record)
        if prepared is None or not prepared.has_texts:
            continue
        tables.append(prepared.table.iloc[prepared.distinct].assign(source=record.name))
        probabilities.append(prepared.features.probabilities[prepared.distinct])
    labels = len(champion.predictor.labels)
    table = pd.concat(tables, ignore_index=True) if tables else _no_rows()
    probabilities_NC = np.concatenate(probabilities) if probabilities else np.zeros((0, labels))
    first = ~table[TEXT_HASH].duplicated().to_numpy()
    slices = [column for column in slice_columns(champion.reference.table) if column in table]
    table = table.loc[first, [TEXT, TEXT_HASH, PREDICTED, "source", *slices]].reset_index(drop=True)
    reference = reference_features(champion, config) if len(table) else None
    return ReviewCandidates(
        table=table,
        probabilities=probabilities_NC[first],
        drift_scores=_drift_scores(table, reference, config),
        challenger=_challenger_probabilities(challenger, table[TEXT].tolist(), champion.predictor.labels),
    )


def _prepared(params: Params, root: Path, champion: Champion, record: WindowRecord) -> PreparedWindow | None:
    try:
        return prepare_window(
            read_window(params, root, record_days(record) or Path(record.source)), champion, params.monitor
        )
    except (DataError, MonitoringError) as error:
        logger.warning("Window %s cannot be read again and is skipped: %s", record.name, error)
        return None


def _drift_scores(table: pd.DataFrame, reference: ReferenceFeatures | None, config: MonitorConfig) -> np.ndarray:
    """Score the texts with classifiers that were not fitted to them; -inf for those beyond MAX_SCORED."""
    scores_N = np.full(len(table), -np.inf)
    if reference is None or len(table) < config.min_window_rows or reference.features.ngrams is None:
        return scores_N
    rows = np.sort(order_by_hash(table[TEXT_HASH], config.seed)[:MAX_SCORED])
    texts = table[TEXT].iloc[rows].tolist()
    ngrams = sp.vstack([hash_ngrams(texts), reference.features.ngrams], format="csr")
    in_window_N = np.arange(ngrams.shape[0]) < len(rows)
    fitted = next(cross_fit(ngram_gram_matrix(ngrams), in_window_N[None], seed=config.seed))
    scores_N[rows] = fitted.scores[: len(rows)]
    return scores_N


def _challenger_probabilities(predictor: Any | None, texts: list[str], labels: Sequence[str]) -> np.ndarray | None:
    """Return (N, C) over the champion's labels; None without a challenger, or if the labels differ."""
    if predictor is None or set(predictor.labels) != set(labels):
        return None
    order = [predictor.labels.index(label) for label in labels]
    probabilities: np.ndarray = predictor.predict(texts).probabilities[:, order]
    return probabilities


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype=object) for name in (TEXT, TEXT_HASH, PREDICTED, "source")})
