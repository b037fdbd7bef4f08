"""Are the flagged labels those that people were unsure of? A look at the ratings that came with the labels.

A rating is the mean of what several people said; its sign is the label, its distance from zero is how sure they were
together. Letters in array names: N rated rows, B resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from atnet.config import AnalyzeConfig
from atnet.evaluation.bootstrap import Interval, interval, resample_rows
from atnet.evaluation.metrics import Floats, Ints, safe_divide

TOP = (50, 100, 200, 500, 1000)


@dataclass(frozen=True, slots=True)
class Group:
    """Some rated rows: how many people-are-unsure texts are among them, and how strong the ratings are."""

    name: str
    rows: int
    unsure: float
    """Share of the rows with |rating| below the limit."""
    mean_strength: float
    """Mean |rating|."""


@dataclass(frozen=True, slots=True)
class RatingAgreement:
    """The list of suspects against the people's doubt."""

    limit: float
    """|rating| below which people count as unsure."""
    groups: list[Group]
    found: float
    """Share of all unsure texts that are flagged."""
    difference: Interval
    """Mean |rating| of the flagged rows minus that of the others."""
    rank_correlation: float
    """Spearman's, between how well the label fits the model's answer and |rating|; positive where they agree."""


def compare_with_ratings(
    ratings_N: Floats, flagged: Ints, wrong_N: np.ndarray, quality_N: Floats, config: AnalyzeConfig
) -> RatingAgreement:
    """Compare; rows without a rating are left out.

    Args:
        flagged: positions of the flagged rows, the likeliest wrong label first.
        wrong_N: where out-of-fold answers differ from the label, flagged or not.
        quality_N: how well the label fits.
    """
    strength_N = np.abs(ratings_N)
    rated_N = np.isfinite(strength_N)
    listed_N = np.zeros(len(ratings_N), dtype=bool)
    listed_N[flagged] = True
    ranked = flagged[rated_N[flagged]]
    chosen: list[tuple[str, np.ndarray]] = [
        ("all rows", np.flatnonzero(rated_N)),
        ("not flagged", np.flatnonzero(rated_N & ~listed_N)),
        ("answered otherwise out of fold", np.flatnonzero(rated_N & wrong_N)),
        ("flagged", ranked),
        *((f"the first {top:,} flagged", ranked[:top]) for top in TOP if top < len(ranked)),
    ]
    unsure_N = rated_N & (strength_N < config.ambiguous_rating)
    return RatingAgreement(
        limit=config.ambiguous_rating,
        groups=[_group(name, strength_N[rows], config.ambiguous_rating) for name, rows in chosen],
        found=float(safe_divide((unsure_N & listed_N).sum(), unsure_N.sum())),
        difference=_difference(strength_N[rated_N], listed_N[rated_N], config),
        rank_correlation=float(spearmanr(quality_N[rated_N], strength_N[rated_N]).statistic),
    )


def told(doubt: RatingAgreement) -> Sequence[str]:
    """Say in plain sentences what the comparison gave."""
    groups = {group.name: group for group in doubt.groups}
    flagged, others = groups["flagged"], groups["not flagged"]
    direction = "weaker" if doubt.difference.high < 0 else "stronger" if doubt.difference.low > 0 else "not different"
    return [
        f"People were unsure (|rating| < {doubt.limit:g}) of {flagged.unsure:.1%} of the flagged texts and of "
        f"{others.unsure:.1%} of the others; {doubt.found:.1%} of all such texts are flagged.",
        f"Mean |rating| is {flagged.mean_strength:.2f} among the flagged and {others.mean_strength:.2f} among the "
        f"others ({direction}: {doubt.difference.value:+.2f}, {doubt.difference.low:+.2f} to "
        f"{doubt.difference.high:+.2f}); rank correlation between fit and |rating| {doubt.rank_correlation:+.2f}.",
    ]


def _group(name: str, strength: Floats, limit: float) -> Group:
    mean = float(strength.mean()) if len(strength) else float("nan")
    return Group(name, len(strength), float(safe_divide((strength < limit).sum(), len(strength))), mean)


def _difference(strength_N: Floats, listed_N: np.ndarray, config: AnalyzeConfig) -> Interval:
    def difference(counts: Floats) -> Floats:
        # A resample without any flagged row is left out by `interval`.
        with np.errstate(invalid="ignore", divide="ignore"):
            inside = counts @ (strength_N * listed_N) / (counts @ listed_N)
            outside = counts @ (strength_N * ~listed_N) / (counts @ ~listed_N)
        return np.asarray(inside - outside)

    rng = np.random.default_rng(config.seed)
    blocks = resample_rows(len(strength_N), samples=config.bootstrap_samples, rng=rng)
    drawn_B = np.concatenate([difference(counts_BN) for counts_BN in blocks])
    return interval(float(difference(np.ones(len(strength_N)))), drawn_B, config.confidence)
