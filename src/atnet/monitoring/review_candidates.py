"""The texts of the newest windows, read again, with what speaks for reviewing each.

Nothing is copied when a window is monitored: texts live where they were logged, as long as they are kept there.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp

from atnet.config import MonitorConfig, Params
from atnet.errors import DataError
from atnet.inference import Predictor
from atnet.monitoring.champion import Champion
from atnet.monitoring.comparison import ReferenceFeatures, reference_features
from atnet.monitoring.domain_classifier import cross_fit, ngram_gram_matrix
from atnet.monitoring.preparation import PreparedWindow, prepare_window
from atnet.monitoring.records import WindowRecord
from atnet.monitoring.reference import order_by_hash
from atnet.monitoring.review_list import Candidates
from atnet.monitoring.row_features import hash_ngrams
from atnet.monitoring.schedule import record_days
from atnet.monitoring.windows import LOG, PREDICTED, Window, file_window, log_window
from atnet.table import TEXT, TEXT_HASH, slice_columns

logger = logging.getLogger(__name__)

MOST_SCORED = 4000
"""Texts scored for drift; of more so many are sampled."""


def collect_candidates(
    params: Params, root: Path, champion: Champion, challenger: Predictor | None, windows: Sequence[WindowRecord]
) -> Candidates:
    """Read the windows again and score their distinct texts; a window that is gone is passed over."""
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
    found = np.concatenate(probabilities) if probabilities else np.zeros((0, labels))
    first = ~table[TEXT_HASH].duplicated().to_numpy()
    slices = [column for column in slice_columns(champion.reference.table) if column in table]
    table = table.loc[first, [TEXT, TEXT_HASH, PREDICTED, "source", *slices]].reset_index(drop=True)
    reference = reference_features(champion, config) if len(table) else None
    return Candidates(
        table=table,
        probabilities=found[first],
        drift_scores=_drift_scores(table, reference, config),
        challenger=_answers(challenger, table[TEXT].tolist(), champion.predictor.labels),
    )


def _prepared(params: Params, root: Path, champion: Champion, record: WindowRecord) -> PreparedWindow | None:
    try:
        return prepare_window(_window(params, root, record), champion, params.monitor)
    except DataError as error:
        logger.warning("Window %s cannot be read again and is left out: %s", record.name, error)
        return None


def _window(params: Params, root: Path, record: WindowRecord) -> Window:
    days = record_days(record)
    if record.source == LOG and days is not None:
        return log_window(root / params.monitor.predictions, days.first, days.last)
    return file_window(Path(record.source), params.data, params.validate_)


def _drift_scores(table: pd.DataFrame, reference: ReferenceFeatures | None, config: MonitorConfig) -> np.ndarray:
    """Score the texts by a classifier that has not seen them; -inf for those beyond MOST_SCORED."""
    scores_N = np.full(len(table), -np.inf)
    if reference is None or len(table) < config.minimum_rows or reference.features.ngrams is None:
        return scores_N
    rows = np.sort(order_by_hash(table[TEXT_HASH], config.seed)[:MOST_SCORED])
    texts = table[TEXT].iloc[rows].tolist()
    ngrams = sp.vstack([hash_ngrams(texts), reference.features.ngrams], format="csr")
    in_window_N = np.arange(ngrams.shape[0]) < len(rows)
    fitted = next(cross_fit(ngram_gram_matrix(ngrams), in_window_N[None], seed=config.seed))
    scores_N[rows] = fitted.scores[: len(rows)]
    return scores_N


def _answers(predictor: Predictor | None, texts: list[str], labels: Sequence[str]) -> np.ndarray | None:
    """Return (N, C) over the champion's labels; None without a challenger, or where the labels differ."""
    if predictor is None or set(predictor.labels) != set(labels):
        return None
    order = [predictor.labels.index(label) for label in labels]
    probabilities: np.ndarray = predictor.predict(texts).probabilities[:, order]
    return probabilities


def _no_rows() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype=object) for name in (TEXT, TEXT_HASH, PREDICTED, "source")})
