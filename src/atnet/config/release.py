"""Sections of the release: what a model must show before it is promoted."""

from typing import Annotated, Literal

from pydantic import Field

from atnet.config.section import Fraction, OpenFraction, Section, Severity


class MinimumScoresConfig(Section):
    """Scores a model must reach whatever the champion does."""

    accuracy: Fraction
    """Smallest allowed accuracy on the test rows."""
    macro_f1: Fraction
    """Smallest allowed macro-F1 on the test rows."""


class BaselineRuleConfig(Section):
    """The challenger's macro-F1 must not be below that of the best baseline."""

    margin: OpenFraction
    """The interval of the difference must lie above minus this."""
    severity: Severity
    """What a lower score means: critical (reject), warning or off."""


class ReleaseSlicesConfig(Section):
    """Parts of the test rows on which the challenger must not be significantly worse than the champion."""

    minimum_rows: Annotated[int, Field(ge=1)]
    """Smaller slices are counted, not tested."""
    length_quantiles: list[OpenFraction]
    """Quantiles of the lengths in words that part the length slices."""
    severity: Severity
    """What a worse slice means: critical (reject), warning or off."""


class BehaviourConfig(Section):
    """Cases any model of the task must get right, whatever its scores."""

    suites: list[str]
    """Suite files, relative to params.yaml; one per language the model must speak. Empty: none is asked."""
    minimum_cases: Annotated[int, Field(ge=1)]
    """Cases a kind needs before its pass rate is judged; fewer give a warning."""
    minimum: Fraction
    """Smallest pass rate of the minimum cases: plain texts with one right label."""
    invariance: Fraction
    """Smallest pass rate of the invariance cases: a change that must not change the label."""
    direction: Fraction
    """Smallest pass rate of the direction cases: a change that must move a probability the right way."""
    severity: Severity
    """What a pass rate that is too low means: critical (reject), warning or off."""


class CalibrationBudget(Section):
    """How far stated confidence may be off."""

    maximum_error: Fraction
    """Largest allowed expected calibration error on the test rows."""
    bins: Annotated[int, Field(ge=2)]
    """Equal-width bins of the error."""
    severity: Severity
    """What a larger error means: critical (reject), warning or off."""


class SizeBudget(Section):
    """How large the model's files may be."""

    maximum_megabytes: Annotated[float, Field(gt=0)]
    """Largest allowed size of the model's files together, in units of 1,000,000 bytes."""
    severity: Severity
    """What a larger model means: critical (reject), warning or off."""


class LatencyBudget(Section):
    """How much slower than the champion the challenger may be."""

    maximum_ratio: Annotated[float, Field(gt=0)]
    """Largest allowed ratio of the median times for one text, challenger to champion."""
    severity: Severity
    """What a larger ratio means: critical (reject), warning or off. Times are noisy: warning is wise."""


class GoldenConfig(Section):
    """A frozen labelled set beside the test split, which never changes with the data."""

    path: str
    """CSV, JSON Lines or Parquet file with the columns id, text and label, relative to params.yaml."""
    minimum_accuracy: Fraction
    """Smallest allowed accuracy on it."""


class CardConfig(Section):
    """What only people know about the model; it stands in the model card."""

    purpose: str
    """What the model is for."""
    data: str
    """Where the texts come from, who labelled them, under which licence."""
    limits: list[str]
    """What the model is not for, and known weaknesses."""
    contact: str | None
    """Who answers questions; null: the line is left out."""


class ReleaseConfig(Section):
    """What a challenger must show before it becomes the champion."""

    rule: Literal["superior", "not_worse"]
    """superior: macro-F1 better than the champion's beyond chance; not_worse: not lower by the margin."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    """One-sided, of every comparison of the gate."""
    bootstrap_samples: Annotated[int, Field(ge=100)]
    """Resamples behind every comparison."""
    seed: int
    """Of the resampling."""
    margin: OpenFraction
    """Macro-F1 that rule not_worse lets the challenger lose at most."""
    minimum_rows: Annotated[int, Field(ge=1)]
    """Test rows that must be left to compare with the champion."""
    allow_label_change: bool
    """Let a challenger with other labels be compared with the champion over the labels both have."""
    minimum: MinimumScoresConfig
    baseline: BaselineRuleConfig
    slices: ReleaseSlicesConfig
    behaviour: BehaviourConfig
    calibration: CalibrationBudget
    size: SizeBudget
    latency: LatencyBudget
    golden: GoldenConfig | None
    """A frozen golden set; null: none."""
    approval: Literal["automatic", "manual"]
    """automatic: who passes the gate is promoted; manual: a person approves or rejects first."""
    approval_hours: Annotated[float, Field(gt=0)]
    """How long a passed challenger waits for a person; then it is a no."""
    keep_versions: Annotated[int, Field(ge=1)]
    """Newest versions that `atnet prune` keeps, beside those under an alias and those that wait."""
    card: CardConfig
