"""Section of monitoring: which windows are compared, when that is an alarm, and what is listed for review."""

from typing import Annotated

from pydantic import Field, model_validator

from atnet.config.section import OpenFraction, Section


class PersistenceConfig(Section):
    """How often drift must be found before it is an alarm."""

    windows: Annotated[int, Field(ge=1, le=8)]
    """Windows with drift that make an alarm, the newest included."""
    of: Annotated[int, Field(ge=1, le=8)]
    """Newest windows of the same model among which they are counted."""

    @model_validator(mode="after")
    def _possible(self) -> "PersistenceConfig":
        if self.windows > self.of:
            raise ValueError(f"windows ({self.windows}) is larger than of ({self.of})")
        return self


class EffectsConfig(Section):
    """How large a difference must be before it counts, however significant it is. One entry per statistic."""

    classifier_auc: Annotated[float, Field(ge=0.5, le=1)]
    """AUC with which a classifier tells the window's texts from the reference's; 0.5: not at all."""
    pooled_mmd: Annotated[float, Field(ge=0)]
    """Maximum mean discrepancy of the network's pooled vectors, 0 to 1.41 (its square root, in kernel units)."""
    probability_ks: Annotated[float, Field(ge=0, le=1)]
    """Kolmogorov-Smirnov distance of the predicted probabilities, the largest over the labels."""
    unknown_words: Annotated[float, Field(ge=0, le=1)]
    """Difference of the mean share of tokens per text that the vocabulary does not hold."""
    length_ks: Annotated[float, Field(ge=0, le=1)]
    """Kolmogorov-Smirnov distance of the lengths in tokens."""


class ReviewConfig(Section):
    """The list of rows worth a person's time, written by `atnet review`."""

    rows: Annotated[int, Field(ge=1)]
    """Rows on the list at most."""
    label_issues: Annotated[float, Field(ge=0, le=1)]
    """Share of the list for labels of the current data that are likely wrong."""
    model: str
    """Model that judges the labels: nb_svm, tfidf_logistic_regression or atnet."""
    folder: str
    """Where data that a review has corrected are written when `data.path` is a stage's output; relative to
    params.yaml."""


class MonitorConfig(Section):
    """`atnet monitor`: recent texts against held-out rows of the champion's data."""

    folder: str
    """Where records, results and reports are written, relative to params.yaml."""
    predictions: str
    """Folder of the service's prediction log, relative to params.yaml."""
    experiment: str
    """MLflow experiment of the monitoring runs."""
    window_days: Annotated[int, Field(ge=1)]
    """Whole days (UTC) of the prediction log in one window."""
    windows_per_year: Annotated[float, Field(gt=0)]
    """How many windows a year are monitored; it belongs to the schedule."""
    false_alarms_per_year: Annotated[float, Field(gt=0)]
    """Alarms a year to expect when nothing changes. With `windows_per_year` and `persistence` it sets the level."""
    persistence: PersistenceConfig
    minimum_rows: Annotated[int, Field(ge=20)]
    """Distinct texts a window needs; with fewer the result is "too few"."""
    maximum_rows: Annotated[int, Field(ge=50)]
    """Distinct texts of a window that are compared; of a larger window so many are sampled."""
    reference_rows: Annotated[int, Field(ge=100)]
    """Held-out texts that a window is compared with; of more so many are sampled."""
    resamples: Annotated[int, Field(ge=100)]
    """Windows drawn from the reference behind every threshold."""
    seed: int
    """Of samples, folds and resamples."""
    effects: EffectsConfig
    confidence: OpenFraction
    """Of every interval."""
    bootstrap_samples: Annotated[int, Field(ge=100)]
    """Resamples behind every interval."""
    retrain_rows: Annotated[int, Field(ge=1)]
    """New labeled rows in the data file from which the advice is to retrain; with fewer it is to label."""
    cooldown_windows: Annotated[int, Field(ge=0)]
    """Windows after an alarm was reported in which a new alarm is not reported again."""
    listed_texts: Annotated[int, Field(ge=1)]
    """Example texts and words in the report."""
    review: ReviewConfig
