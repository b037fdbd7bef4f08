"""Sections of the data: folders, the file, its checks, the splits."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from atnet.config.section import Fraction, OpenFraction, Section, Severity


class FoldersConfig(Section):
    """Where each stage writes; paths are relative to params.yaml."""

    raw: str
    """The embedded default data."""
    validated: str
    """The canonical table, the quarantine and their report."""
    splits: str
    """Training, validation and test tables."""
    tokens: str
    """The tokenizer and the encoded splits."""
    vectors: str
    """Word vectors from the training split."""
    baseline: str
    """Baseline predictions and metrics."""
    model: str
    """The trained model, complete."""
    evaluation: str
    """Metrics, plots and the report."""
    published: str
    """The receipt of what MLflow was given."""


class ColumnsConfig(Section):
    """The names that the data file gives to the columns the pipeline knows."""

    text: str
    """Column of the texts."""
    label: str | None
    """Column of the labels; null only with `validate.label_from_rating`."""
    id: str | None
    """Column of unique row names; null: rows are named by their position."""
    split: str | None
    """Column of the official split: train, validation (dev, valid, val) or test."""
    rating: str | None
    """Column of numbers whose sign is the label; used for soft targets."""
    weight: str | None
    """Column of positive numbers: how much a row counts in training."""
    slices: list[str]
    """Columns by which results are broken down."""


class DataConfig(Section):
    """The labelled texts that go in."""

    path: str
    """The data file, relative to params.yaml."""
    format: Literal["auto", "csv", "jsonl", "parquet"]
    """File format; auto goes by the file's name, Parquet and gzip by their first bytes."""
    encoding: str
    """Character encoding of CSV and JSON Lines; a byte-order mark is taken off."""
    separator: str
    """Separator of CSV: auto, or one character."""
    columns: ColumnsConfig
    """Names of the columns in the file."""


class LabelFromRatingConfig(Section):
    """How a numeric rating becomes one of two labels."""

    neutral_band: Annotated[float, Field(ge=0)]
    """Rows with |rating| up to this are left out by rule; in units of the rating."""
    negative: str
    """Label of ratings below the band."""
    positive: str
    """Label of ratings above the band."""


class RangeCheck(Section):
    """A length that must lie between two bounds, both included."""

    minimum: Annotated[int, Field(ge=0)]
    """Smallest allowed length."""
    maximum: Annotated[int, Field(gt=0)]
    """Largest allowed length."""
    severity: Severity
    """What a breach means: critical, warning or off."""

    @model_validator(mode="after")
    def _ordered(self) -> "RangeCheck":
        if self.minimum > self.maximum:
            raise ValueError(f"minimum ({self.minimum}) is larger than maximum ({self.maximum})")
        return self


class MaximumFractionCheck(Section):
    """A share that must not be exceeded."""

    maximum_fraction: Fraction
    """Largest allowed share, 0 to 1."""
    severity: Severity
    """What a breach means: critical, warning or off."""


class MinimumFractionCheck(Section):
    """A share that must be reached."""

    minimum_fraction: Fraction
    """Smallest allowed share, 0 to 1."""
    severity: Severity
    """What a breach means: critical, warning or off."""


class MinimumRowsCheck(Section):
    """A number of rows that must be reached."""

    rows: Annotated[int, Field(ge=3)]
    """Smallest allowed number of rows."""
    severity: Severity
    """What a breach means: critical, warning or off."""


class ValidateConfig(Section):
    """Label mapping and the checks. Row checks quarantine single rows; table checks judge the whole."""

    label_from_rating: LabelFromRatingConfig | None
    """Make the label from the rating; null: use the label column."""
    label_map: dict[str, str]
    """Value in the file -> label; values not named stay as they are."""
    labels: list[str] | None
    """The allowed labels; null: those found in the data."""
    max_bad_fraction: Fraction
    """Share of rows that may be quarantined before the stage fails."""
    text_not_blank: Severity
    """Row check: the text is there and is more than white space."""
    text_characters: RangeCheck
    """Row check: length of the text in characters."""
    text_words: RangeCheck
    """Row check: length of the text in white-space separated words."""
    replacement_characters: MaximumFractionCheck
    """Row check: share of U+FFFD in a text, the mark of a wrong encoding."""
    nonprinting_characters: MaximumFractionCheck
    """Row check: share of control characters in a text (tab and newline are fine)."""
    label_in_set: Severity
    """Row check: the label is there and is an allowed one."""
    unique_id: Severity
    """Row check: no earlier row has this id."""
    duplicates: MaximumFractionCheck
    """Table check: share of rows whose text stood before."""
    conflicting_labels: MaximumFractionCheck
    """Table check: share of rows whose text also has another label."""
    class_balance: MinimumFractionCheck
    """Table check: share of the rarest label."""
    minimum_rows_per_label: MinimumRowsCheck
    """Table check: rows of the rarest label."""


class FractionsConfig(Section):
    """Shares of the rows; they add up to 1."""

    train: OpenFraction
    """Share to learn from."""
    validation: OpenFraction
    """Share to choose by."""
    test: OpenFraction
    """Share to judge by, once."""

    @model_validator(mode="after")
    def _whole(self) -> "FractionsConfig":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, validation and test add up to {total:g}, not to 1")
        return self


class SplitConfig(Section):
    """How rows are parted into training, validation and test."""

    fractions: FractionsConfig
    """Shares, when no official split column is given."""
    seed: int
    """Of the hash that puts a text on its side."""
    near_duplicates: bool
    """Keep near-duplicate texts on one side."""
    near_duplicate_similarity: OpenFraction
    """Jaccard similarity of word 3-shingles from which two texts are near duplicates."""
    permutations: Annotated[int, Field(ge=16, le=256)]
    """Length of the MinHash signature."""
    drop_test_duplicates: bool
    """With an official split: leave out validation and test texts that also stand in train."""
