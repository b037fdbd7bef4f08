"""Do the label issues agree with the ratings that came with the labels?

A rating is the mean of what several people said: its sign is the label, its absolute value how far they agreed.
Letters in array names: N rows, I label issues, B resamples.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from atnet.analysis.label_issues import LabelIssues
from atnet.config import AnalyzeConfig
from atnet.evaluation.bootstrap import Interval, interval, resample_rows
from atnet.evaluation.metrics import Floats, safe_divide
from atnet.formatting import interval as format_interval
from atnet.formatting import percent

TOP = (50, 100, 200, 500, 1000)
"""Lengths of the heads of the list that are compared separately."""


@dataclass(frozen=True, slots=True)
class RatingGroup:
    """A group of rated rows: how many of them are ambiguous, and how strong their ratings are."""

    name: str
    rows: int
    ambiguous: float
    """Share of the rows with |rating| below the threshold."""
    mean_abs_rating: float


@dataclass(frozen=True, slots=True)
class RatingAgreement:
    """The label issues compared with the ratings."""

    ambiguous_rating: float
    """|rating| below which a text counts as ambiguous."""
    groups: list[RatingGroup]
    ambiguous_recall: float
    """Share of all ambiguous texts that are label issues."""
    mean_abs_rating_difference: Interval
    """Mean |rating| of the label issues minus that of the other rows."""
    rank_correlation: float
    """Spearman's, between label quality and |rating|; positive if they agree."""


def compare_with_ratings(ratings_N: Floats, issues: LabelIssues, config: AnalyzeConfig) -> RatingAgreement:
    """Compare the label issues with the ratings; rows without a rating are ignored."""
    strength_N = np.abs(ratings_N)
    rated_N = np.isfinite(strength_N)
    is_issue_N = np.zeros(len(ratings_N), dtype=bool)
    is_issue_N[issues.issues] = True
    ranked_I = issues.issues[rated_N[issues.issues]]
    groups: list[tuple[str, np.ndarray]] = [
        ("all rows", np.flatnonzero(rated_N)),
        ("no label issue", np.flatnonzero(rated_N & ~is_issue_N)),
        ("mispredicted out of fold", np.flatnonzero(rated_N & issues.mispredicted)),
        ("label issue", ranked_I),
        *((f"first {top:,} label issues", ranked_I[:top]) for top in TOP if top < len(ranked_I)),
    ]
    ambiguous_N = rated_N & (strength_N < config.ambiguous_rating)
    return RatingAgreement(
        ambiguous_rating=config.ambiguous_rating,
        groups=[_group(name, strength_N[rows], config.ambiguous_rating) for name, rows in groups],
        ambiguous_recall=float(safe_divide((ambiguous_N & is_issue_N).sum(), ambiguous_N.sum())),
        mean_abs_rating_difference=_mean_difference(strength_N[rated_N], is_issue_N[rated_N], config),
        rank_correlation=float(spearmanr(issues.quality[rated_N], strength_N[rated_N]).statistic),
    )


def describe_agreement(agreement: RatingAgreement) -> list[str]:
    """Write the comparison in plain sentences."""
    groups = {group.name: group for group in agreement.groups}
    flagged, others = groups["label issue"], groups["no label issue"]
    difference = agreement.mean_abs_rating_difference
    direction = "lower" if difference.high < 0 else "higher" if difference.low > 0 else "no clear difference"
    return [
        f"{percent(flagged.ambiguous)} of the label issues are ambiguous texts (|rating| < "
        f"{agreement.ambiguous_rating:g}), against {percent(others.ambiguous)} of the other texts. "
        f"{percent(agreement.ambiguous_recall)} of all ambiguous texts are label issues.",
        f"The mean |rating| is {flagged.mean_abs_rating:.2f} for label issues and {others.mean_abs_rating:.2f} for "
        f"other texts ({direction}: {difference.value:+.2f}, {format_interval(difference, '{:+.2f}'.format)}). "
        f"The rank correlation of label quality and |rating| is {agreement.rank_correlation:+.2f}.",
    ]


def _group(name: str, strength: Floats, threshold: float) -> RatingGroup:
    mean = float(strength.mean()) if len(strength) else float("nan")
    return RatingGroup(name, len(strength), float(safe_divide((strength < threshold).sum(), len(strength))), mean)


def _mean_difference(strength_N: Floats, is_issue_N: np.ndarray, config: AnalyzeConfig) -> Interval:
    def difference(counts: Floats) -> Floats:
        # `interval` ignores a resample without any label issue.
        with np.errstate(invalid="ignore", divide="ignore"):
            issues = counts @ (strength_N * is_issue_N) / (counts @ is_issue_N)
            others = counts @ (strength_N * ~is_issue_N) / (counts @ ~is_issue_N)
        return np.asarray(issues - others)

    rng = np.random.default_rng(config.seed)
    blocks = resample_rows(len(strength_N), samples=config.bootstrap_samples, rng=rng)
    resampled_B = np.concatenate([difference(counts_BN) for counts_BN in blocks])
    return interval(float(difference(np.ones(len(strength_N)))), resampled_B, config.confidence)
