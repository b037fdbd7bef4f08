"""The distribution of the statistics if nothing has changed: windows drawn from the reference itself.

Letters in array names: m reference texts, B drawn windows, S statistics.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atnet.config import MonitorConfig
from atnet.monitoring.drift_statistics import VERSION, compute_statistics
from atnet.monitoring.mmd import Reduction
from atnet.monitoring.row_features import RowFeatures
from atnet.storage import whole_file

STEPS = (10, 12, 15, 18, 22, 27, 33, 40, 50, 60, 75, 90)
"""Thresholds are computed for these window sizes times powers of ten only, so that few distinct sizes occur."""
MAX_SHARE = 0.5
"""Largest window as a share of the reference, so that at least as many texts are left to compare with."""


@dataclass(frozen=True, slots=True)
class NullDistribution:
    """The statistics of windows drawn from the reference."""

    names: tuple[str, ...]
    values: np.ndarray
    """(B, S) in the order of `names`; larger means more different."""
    rows: int
    """Texts of a window."""
    reference_rows: int
    """Texts of the reference, window included."""

    def only(self, names: tuple[str, ...]) -> "NullDistribution":
        """Return the distribution of some of the statistics over the same drawn windows."""
        columns = [self.names.index(name) for name in names]
        return NullDistribution(names, self.values[:, columns], self.rows, self.reference_rows)


@dataclass(frozen=True, slots=True)
class PValues:
    """The share of drawn windows that are at least as different."""

    each: Mapping[str, float]
    """Each statistic by itself."""
    combined: float
    """P-value of Fisher's combination of all statistics, which detects moderate differences in several of them."""
    overall: float
    """The overall p-value: the probability of a smallest p-value this small if nothing has changed."""


def compared_rows(distinct: int, reference_rows: int, config: MonitorConfig) -> int:
    """Return how many of a window's texts are compared: the largest step that fits, 0 if none does."""
    allowed = int(min(distinct, config.max_window_rows, MAX_SHARE * reference_rows))
    smallest = config.min_window_rows
    steps = (step * 10**power for power in range(8) for step in STEPS)
    return max((rows for rows in (smallest, *steps) if smallest <= rows <= allowed), default=0)


def draw_null(
    reference: RowFeatures, reduction: Reduction | None, *, rows: int, resamples: int, seed: int
) -> NullDistribution:
    """Draw windows from the reference and compare each with the rest of it.

    Args:
        reference: features of the m distinct reference texts.
        reduction: of the pooled features; None if there are none.
        rows: texts of a window.
        resamples: number of windows to draw.
        seed: of the draws and of the classifier's folds.
    """
    rng = np.random.default_rng([seed, rows])
    in_window_Bm = np.zeros((resamples, len(reference)), dtype=bool)
    for draw_m in in_window_Bm:
        draw_m[rng.choice(len(reference), rows, replace=False)] = True
    statistics = compute_statistics(reference, in_window_Bm, reduction, seed=seed)
    return NullDistribution(statistics.names, statistics.matrix(), rows, len(reference))


def p_values(observed: Mapping[str, float], null: NullDistribution) -> PValues:
    """Compare a window's statistics with those of the drawn windows (min-p; Westfall & Young 1993).

    The window counts as one more draw, so no p-value is 0, and the level of the overall test is exact if the window
    and the draws are exchangeable.

    Args:
        observed: one number per statistic of `null`.
    """
    all_BS = np.vstack([null.values, [observed[name] for name in null.names]])
    draws = len(all_BS)
    p_BS = np.column_stack([_at_least(column) for column in all_BS.T]) / draws
    # The statistics are correlated, so the combination gets its p-value from the draws, not from its distribution.
    combined_B = _at_least(-np.log(p_BS).sum(axis=1)) / draws
    smallest_B = np.minimum(p_BS.min(axis=1), combined_B)
    return PValues(
        each=dict(zip(null.names, p_BS[-1].tolist(), strict=True)),
        combined=float(combined_B[-1]),
        overall=float((smallest_B <= smallest_B[-1]).mean()),
    )


def cache_key(model_sha256: str, reference_digest: str, *, rows: int, resamples: int, seed: int) -> str:
    """Return a hash of everything that a distribution depends on."""
    parts = [VERSION, model_sha256, reference_digest, rows, resamples, seed]
    return f"{rows}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}"


def save_null(path: Path, null: NullDistribution) -> None:
    """Write a distribution, completely or not at all."""
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez(
            file,
            names=np.array(null.names),
            values=null.values,
            rows=np.array(null.rows),
            reference_rows=np.array(null.reference_rows),
        )


def load_null(path: Path) -> NullDistribution | None:
    """Read a distribution; None if there is none or its file is damaged: it can be computed again."""
    try:
        with np.load(io.BytesIO(path.read_bytes())) as stored:
            return NullDistribution(
                names=tuple(stored["names"].tolist()),
                values=stored["values"],
                rows=int(stored["rows"]),
                reference_rows=int(stored["reference_rows"]),
            )
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _at_least(values_B: np.ndarray) -> np.ndarray:
    """Count, for each value, the values that are at least as large, itself included."""
    counts: np.ndarray = len(values_B) - np.searchsorted(np.sort(values_B), values_B, side="left")
    return counts
