"""Section of the release: what a model must show before it is promoted."""

from typing import Annotated, Literal

from pydantic import Field

from atnet.config.section import Fraction, OpenFraction, PositiveNumber, Section, Severity


class MinScoresConfig(Section):
    """Scores required whatever the champion scores."""

    accuracy: Fraction
    """Smallest allowed accuracy on the test rows."""
    macro_f1: Fraction
    """Smallest allowed macro-F1 on the test rows."""


class BaselineCheckConfig(Section):
    """The challenger's macro-F1 must not be below that of the best baseline."""

    non_inferiority_margin: OpenFraction
    """The interval of the difference must lie above minus this."""
    severity: Severity
    """What a lower score means: critical (reject), warning or off."""


class SliceCheckConfig(Section):
    """Slices of the test rows on which the challenger must not be significantly worse than the champion."""

    min_slice_rows: Annotated[int, Field(ge=1)]
    """Smaller slices are counted, not tested."""
    length_quantiles: list[OpenFraction]
    """Quantiles of the lengths in words that separate the length slices."""
    severity: Severity
    """What a worse slice means: critical (reject), warning or off."""


class PassRatesConfig(Section):
    """Smallest pass rate of each CheckList test type (Ribeiro et al., ACL 2020)."""

    mft: Fraction
    """Minimum functionality tests: plain texts with one right label."""
    inv: Fraction
    """Invariance tests: a perturbation that must not change the label."""
    dir: Fraction
    """Directional expectation tests: a change that must move a probability the right way."""


class BehaviorConfig(Section):
    """Capabilities that any model of the task must have."""

    suites: list[str]
    min_cases: Annotated[int, Field(ge=1)]
    min_pass_rate: PassRatesConfig
    severity: Severity


class CalibrationCheckConfig(Section):
    """How far stated confidence may be off."""

    max_error: Fraction
    """Largest allowed expected calibration error."""
    calibration_bins: Annotated[int, Field(ge=2)]
    """Equal-width bins of the error."""
    severity: Severity
    """What a larger error means: critical (reject), warning or off."""


class RejectOptionCheckConfig(Section):
    """The answers of a model that abstains must be as accurate as stated."""

    severity: Severity
    """What answers significantly less accurate than evaluate.target_accuracy mean: critical, warning or off."""


class SizeCheckConfig(Section):
    """How large the model's files may be."""

    max_megabytes: PositiveNumber
    """Largest allowed size."""
    severity: Severity
    """What a larger model means: critical (reject), warning or off."""


class LatencyCheckConfig(Section):
    """How much slower than the champion the challenger may be."""

    max_ratio: PositiveNumber
    """Largest allowed ratio."""
    severity: Severity
    """What a larger ratio means: critical (reject), warning or off. Timings are noisy: prefer warning."""


class GoldenConfig(Section):
    """A frozen labeled set, apart from the test split, that never changes with the data."""

    path: str
    """CSV, JSON Lines or Parquet file with the columns id, text and label, relative to params.yaml."""
    min_accuracy: Fraction
    """Smallest allowed accuracy on it."""


class ModelCardConfig(Section):
    """What only people know about the model."""

    purpose: str
    data: str
    limits: list[str]
    contact: str | None


class ReleaseConfig(Section):
    """What a challenger must show before it becomes the champion."""

    rule: Literal["superiority", "non_inferiority"]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    bootstrap_samples: Annotated[int, Field(ge=100)]
    seed: int
    non_inferiority_margin: OpenFraction
    min_compared_rows: Annotated[int, Field(ge=1)]
    allow_label_change: bool
    min_scores: MinScoresConfig
    baseline: BaselineCheckConfig
    slices: SliceCheckConfig
    behavior: BehaviorConfig
    calibration: CalibrationCheckConfig
    reject_option: RejectOptionCheckConfig
    size: SizeCheckConfig
    latency: LatencyCheckConfig
    golden: GoldenConfig | None
    approval: Literal["automatic", "manual"]
    approval_timeout_hours: PositiveNumber
    keep_versions: Annotated[int, Field(ge=1)]
    model_card: ModelCardConfig
