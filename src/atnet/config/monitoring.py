"""Section `monitor`: which windows are compared, when that is an alarm, and what is listed for review."""

from typing import Annotated

from pydantic import Field, model_validator

from atnet.config.section import Fraction, OpenFraction, PositiveNumber, Section


class PersistenceConfig(Section):
    """How many of the newest windows must have drifted for an alarm."""

    windows: Annotated[int, Field(ge=1, le=8)]
    """Drifted windows that make an alarm."""
    of: Annotated[int, Field(ge=1, le=8)]
    """Newest windows of the same model among which they are counted; windows with too few rows do not count."""

    @model_validator(mode="after")
    def _check_order(self) -> "PersistenceConfig":
        if self.windows > self.of:
            raise ValueError(f"windows ({self.windows}) is larger than of ({self.of})")
        return self


class MinEffectsConfig(Section):
    """The smallest effect size that counts as drift, for each statistic."""

    classifier_auc: Annotated[float, Field(ge=0.5, le=1)]
    pooled_mmd: Annotated[float, Field(ge=0)]
    probability_ks: Fraction
    unknown_words: Fraction
    length_ks: Fraction


class ReviewConfig(Section):
    """The list of rows worth labeling."""

    rows: Annotated[int, Field(ge=1)]
    label_issue_fraction: Fraction
    label_issue_model: str
    data_folder: str


class MonitorConfig(Section):
    """The commands `atnet monitor` and `atnet review`."""

    output_folder: str
    experiment: str
    window_days: Annotated[int, Field(ge=1)]
    windows_per_year: PositiveNumber
    false_alarms_per_year: PositiveNumber
    persistence: PersistenceConfig
    min_window_rows: Annotated[int, Field(ge=20)]
    max_window_rows: Annotated[int, Field(ge=50)]
    max_reference_rows: Annotated[int, Field(ge=100)]
    null_samples: Annotated[int, Field(ge=100)]
    seed: int
    min_effects: MinEffectsConfig
    confidence: OpenFraction
    bootstrap_samples: Annotated[int, Field(ge=100)]
    min_new_rows: Annotated[int, Field(ge=1)]
    cooldown_windows: Annotated[int, Field(ge=0)]
    example_texts: Annotated[int, Field(ge=1)]
    review: ReviewConfig
