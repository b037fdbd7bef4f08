"""Compare a window with the reference: the texts that are compared, and the results of the statistics.

Letters in array names: N texts.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from atnet.config import MonitorConfig
from atnet.errors import ConfigurationError
from atnet.file_hashes import text_sha256
from atnet.monitoring.alarm import StatisticResult, significance_level, statistic_results
from atnet.monitoring.champion import Champion
from atnet.monitoring.domain_classifier import cross_fit, ngram_gram_matrix
from atnet.monitoring.drift_statistics import CLASSIFIER_AUC, POOLED_MMD, STATISTICS, compute_statistics, effect_sizes
from atnet.monitoring.mmd import Reduction, fit_reduction
from atnet.monitoring.null_distribution import (
    NullDistribution,
    cache_key,
    compared_rows,
    draw_null,
    load_null,
    p_values,
    save_null,
)
from atnet.monitoring.prepared_window import PreparedWindow
from atnet.monitoring.reference import order_by_hash
from atnet.monitoring.row_features import RowFeatures, concatenate, text_features
from atnet.monitoring.windows import TEXT_SHA256
from atnet.schema import TEXT, TEXT_HASH

logger = logging.getLogger(__name__)

NULL_FOLDER = "null"


@dataclass(frozen=True, slots=True)
class WindowComparison:
    """The result of comparing a window with the reference."""

    rows: int
    """Texts of the window that were compared."""
    reference_rows: int
    """Held-out texts they were compared with."""
    level: float
    p_value: float
    results: list[StatisticResult]
    compared: pd.DataFrame
    """The window's rows that were compared."""
    scores: np.ndarray | None
    """(N,) log-odds of those rows from a classifier that was not fitted to them; above 0 means unlike the reference.
    None without texts."""
    reference: pd.DataFrame
    """The reference's texts they were compared with."""

    @property
    def drifted(self) -> bool:
        """Whether a statistic is significant and large."""
        return any(result.drifted for result in self.results)


@dataclass(frozen=True, slots=True)
class ReferenceFeatures:
    """The features of the reference, and the reduction that is fitted to them."""

    features: RowFeatures
    reduction: Reduction | None


def reference_features(champion: Champion, config: MonitorConfig) -> ReferenceFeatures:
    """Compute the features of all reference texts."""
    features = text_features(champion.reference.table[TEXT].tolist(), champion.predictor)
    rng = np.random.default_rng(config.seed)
    return ReferenceFeatures(features, None if features.pooled is None else fit_reduction(features.pooled, rng))


def compare_window(
    prepared: PreparedWindow, champion: Champion, reference: ReferenceFeatures, config: MonitorConfig, folder: Path
) -> WindowComparison | None:
    """Compare a window with the reference; None if it has too few distinct texts.

    Args:
        prepared: the window.
        champion: the model that the reference belongs to.
        reference: features of the champion's reference.
        config: sizes, level and smallest effects.
        folder: where null distributions are cached.
    """
    rows = compared_rows(len(prepared.distinct), len(champion.reference), config)
    if rows == 0:
        return None
    level = significance_level(config, rows=rows, reference_rows=len(champion.reference))
    check_resolution(level, statistics=len(STATISTICS), samples=config.null_samples)
    window_rows = _sample(prepared, rows, config.seed)
    null = null_distribution(champion, reference, config, folder, rows=rows, texts=prepared.has_texts)
    reference_rows = _reference_rows(prepared, champion, len(champion.reference) - rows, config.seed)
    window = _features(prepared, window_rows, champion)
    joined = concatenate(window, reference.features.take(reference_rows))
    in_window_1N = (np.arange(len(joined)) < rows)[None]
    observed = compute_statistics(joined, in_window_1N, reference.reduction, seed=config.seed)
    values = {name: float(observed.values[name][0]) for name in null.names}
    p = p_values(values, null)
    return WindowComparison(
        rows=rows,
        reference_rows=len(reference_rows),
        level=level,
        p_value=p.overall,
        results=statistic_results(effect_sizes(values), p, config.min_effects, level),
        compared=prepared.table.iloc[window_rows],
        scores=_scores(joined, in_window_1N[0], config.seed)[:rows] if prepared.has_texts else None,
        reference=champion.reference.table.iloc[reference_rows],
    )


def null_distribution(
    champion: Champion,
    reference: ReferenceFeatures,
    config: MonitorConfig,
    folder: Path,
    *,
    rows: int,
    texts: bool,
) -> NullDistribution:
    """Return the null distribution for windows of this size, from the cache or computed.

    Windows without texts use some of its statistics.
    """
    key = cache_key(
        champion.sha256, champion.reference.digest, rows=rows, resamples=config.null_samples, seed=config.seed
    )
    path = folder / NULL_FOLDER / f"{key}.npz"
    null = load_null(path)
    if null is None:
        logger.info(
            "Drawing %d windows of %d texts from the reference for the thresholds; once per model and window size",
            config.null_samples,
            rows,
        )
        null = draw_null(
            reference.features, reference.reduction, rows=rows, resamples=config.null_samples, seed=config.seed
        )
        save_null(path, null)
    if texts:
        return null
    return null.only(tuple(name for name in null.names if name not in (CLASSIFIER_AUC, POOLED_MMD)))


def _scores(joined: RowFeatures, in_window_N: np.ndarray, seed: int) -> np.ndarray:
    assert joined.ngrams is not None
    return next(cross_fit(ngram_gram_matrix(joined.ngrams), in_window_N[None], seed=seed)).scores


def check_resolution(level: float, *, statistics: int, samples: int) -> None:
    """Check that a window can reach the level: p-values are multiples of one over the number of drawn windows.

    Raises:
        ConfigurationError: with the required number of drawn windows, if it cannot.
    """
    # One more for the combination of all statistics.
    needed = int(np.ceil((statistics + 1) / level))
    if samples < needed:
        raise ConfigurationError(
            f"monitor.null_samples ({samples:,}) is too small for a significance level of {level:.4f}, which "
            f"follows from monitor.false_alarms_per_year. Set it to {needed:,} or more, or allow more false alarms."
        )


def _sample(prepared: PreparedWindow, rows: int, seed: int) -> np.ndarray:
    """Sample the texts to compare by their hash, so that the same window gives the same result."""
    names = prepared.table[TEXT_HASH if prepared.has_texts else TEXT_SHA256].iloc[prepared.distinct]
    chosen: np.ndarray = np.sort(prepared.distinct[order_by_hash(names, seed)[:rows]])
    return chosen


def _reference_rows(prepared: PreparedWindow, champion: Champion, rows: int, seed: int) -> np.ndarray:
    """Sample as many reference texts as the drawn windows were compared with, none of them in the window.

    The sample depends on the window, so that an unlucky sample does not recur for every window.
    """
    table = champion.reference.table
    if prepared.has_texts:
        shared = table[TEXT_HASH].isin(set(prepared.table[TEXT_HASH]))
    else:
        shared = pd.Series([text_sha256(text) for text in table[TEXT]]).isin(set(prepared.table[TEXT_SHA256]))
    left = np.flatnonzero(~shared.to_numpy())
    window_seed = [seed, len(prepared.table), int(prepared.features.tokens.sum())]
    chosen: np.ndarray = np.random.default_rng(window_seed).permutation(left)[:rows]
    return np.sort(chosen)


def _features(prepared: PreparedWindow, rows: np.ndarray, champion: Champion) -> RowFeatures:
    """Return all features that the compared rows have."""
    if not prepared.has_texts:
        return prepared.features.take(rows)
    return text_features(prepared.table[TEXT].iloc[rows].tolist(), champion.predictor)
