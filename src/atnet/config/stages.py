"""Sections of the DVC stages. The comments in params.yaml explain the keys."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from atnet.config.section import (
    Fraction,
    OpenFraction,
    PositiveNumber,
    PositiveNumbers,
    Section,
    Severity,
)
from atnet.files import NO_FILE


class ColumnsConfig(Section):
    """Names of the columns in the data file."""

    text: str
    label: str | None
    id: str | None
    split: str | None
    rating: str | None
    weight: str | None
    teacher: dict[str, str] | None = None
    slices: list[str]

    @model_validator(mode="after")
    def _teacher_has_columns(self) -> "ColumnsConfig":
        columns = list((self.teacher or {}).values())
        if self.teacher is not None and len(columns) < 2:
            raise ValueError("teacher has fewer than two labels: write {label: column, ...}, or null for no teacher")
        if len(set(columns)) < len(columns):
            raise ValueError("teacher lists a column twice: each label needs its own column of probabilities")
        return self


class DataConfig(Section):
    """The labeled texts."""

    path: str
    format: Literal["auto", "csv", "jsonl", "parquet"]
    encoding: str
    separator: str
    quoting: Literal["auto", "standard", "none"]
    columns: ColumnsConfig


class LabelFromRatingConfig(Section):
    """How a numeric rating becomes one of two labels."""

    neutral_band: Annotated[float, Field(ge=0)]
    negative: str
    positive: str


class RangeCheck(Section):
    """A length that must be between two bounds, both included."""

    min_value: Annotated[int, Field(ge=0)]
    """Smallest allowed length."""
    max_value: Annotated[int, Field(gt=0)]
    """Largest allowed length."""
    severity: Severity
    """What a violation means: critical, warning or off."""

    @model_validator(mode="after")
    def _ordered(self) -> "RangeCheck":
        if self.min_value > self.max_value:
            raise ValueError(f"min_value ({self.min_value}) is larger than max_value ({self.max_value})")
        return self


class MaxFractionCheck(Section):
    """A share with an upper limit."""

    max_fraction: Fraction
    """Largest allowed share, 0 to 1."""
    severity: Severity
    """What a violation means: critical, warning or off."""


class MinFractionCheck(Section):
    """A share with a lower limit."""

    min_fraction: Fraction
    """Smallest allowed share, 0 to 1."""
    severity: Severity
    """What a violation means: critical, warning or off."""


class MinRowsCheck(Section):
    """A number of rows with a lower limit."""

    min_rows: Annotated[int, Field(ge=3)]
    """Smallest allowed number of rows."""
    severity: Severity
    """What a violation means: critical, warning or off."""


class ValidateConfig(Section):
    """Label mapping, row checks and table checks."""

    label_from_rating: LabelFromRatingConfig | None
    label_map: dict[str, str | None]
    labels: list[str] | None
    max_quarantined_fraction: Fraction
    text_not_blank: Severity
    text_characters: RangeCheck
    text_words: RangeCheck
    long_texts: Literal["cut", "quarantine"]
    replacement_characters: MaxFractionCheck
    nonprinting_characters: MaxFractionCheck
    label_in_set: Severity
    unique_id: Severity
    duplicates: MaxFractionCheck
    conflicting_labels: MaxFractionCheck
    class_balance: MinFractionCheck
    rows_per_label: MinRowsCheck
    expectations: str


class FractionsConfig(Section):
    """Shares of the rows; they add up to 1."""

    train: OpenFraction
    """Share of the training rows."""
    validation: OpenFraction
    """Share of the validation rows, on which models are selected."""
    test: OpenFraction
    """Share of the test rows, which are used once."""

    @model_validator(mode="after")
    def _add_up_to_one(self) -> "FractionsConfig":
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train, validation and test add up to {total:g}, not to 1")
        return self


class SplitConfig(Section):
    """How rows are split into training, validation and test."""

    fractions: FractionsConfig
    seed: int
    near_duplicates: bool
    near_duplicate_similarity: OpenFraction
    minhash_permutations: Annotated[int, Field(ge=16, le=256)]
    drop_test_duplicates: bool


class TokenizeConfig(Section):
    """How texts become token ids."""

    kind: Literal["word", "bpe", "unigram"]
    vocabulary_size: Annotated[int, Field(gt=2, le=1_000_000)]
    min_frequency: Annotated[int, Field(ge=1)]
    lowercase: bool
    strip_accents: bool
    max_length: Annotated[int, Field(ge=1)] | None
    max_length_quantile: Annotated[float, Field(gt=0, le=1)]
    max_length_limit: Annotated[int, Field(ge=1)]


class VectorsConfig(Section):
    """Word vectors that initialize the embedding."""

    pretrained: str
    pretrained_words: Annotated[int, Field(ge=0, le=900_000)]
    pretrained_source: str | None
    pretrained_license: str | None
    unlabeled: str
    max_tokens: Annotated[int, Field(gt=2)]
    min_frequency: Annotated[int, Field(ge=1)]
    window: Annotated[int, Field(ge=1)]
    init_std: PositiveNumber
    seed: int

    @field_validator("pretrained", "unlabeled", mode="before")
    @classmethod
    def _is_path(cls, value: object) -> object:
        # DVC stops without a message at a dependency that is null or empty.
        if value is None or value == "":
            raise ValueError(f"write a path, or {NO_FILE} for no file")
        return value


class BaselineConfig(Section):
    """The linear models that AtNet must beat."""

    max_ngram: Annotated[int, Field(ge=1, le=5)]
    min_document_frequency: Annotated[int, Field(ge=1)]
    regularization: PositiveNumbers
    linear_max_tokens: Annotated[int, Field(ge=1)] | None
    svm_max_tokens: Annotated[int, Field(ge=1)] | None
    seed: int


class TrainConfig(Section):
    """AtNet and its training."""

    seed: int
    attention: Literal["published", "rescaled", "pooled"]
    embedding_dimensions: Annotated[int, Field(ge=2)]
    initialize_from_vectors: bool
    embedding: Literal["auto", "fine_tuned", "static", "two_channels"]
    embedding_dropout: Annotated[float, Field(ge=0, lt=1)]
    filters: Annotated[int, Field(ge=1)]
    kernel_size: Annotated[int, Field(ge=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    hidden_units: Annotated[int, Field(ge=1)] | Literal["auto"]
    wide: bool
    wide_regularization: PositiveNumbers
    wide_max_tokens: Annotated[int, Field(ge=1)] | None
    epochs: Annotated[int, Field(ge=1)]
    patience: Annotated[int, Field(ge=1)]
    min_delta: Annotated[float, Field(ge=0)]
    batch_size: Annotated[int, Field(ge=1)]
    min_steps: Annotated[int, Field(ge=1)]
    learning_rate: PositiveNumber
    schedule: Literal["constant", "cosine"]
    class_weights: Literal["none", "balanced"]
    soft_target_slope: PositiveNumber | None
    teacher_weight: Fraction
    teacher_temperature: Annotated[float, Field(ge=1, le=20)]
    precision: Literal["auto", "float32", "bfloat16"]
    length_buckets: bool
    workers: Annotated[int, Field(ge=1)] | Annotated[list[str], Field(min_length=2)]

    @property
    def worker_count(self) -> int:
        """Processes that train together."""
        return self.workers if isinstance(self.workers, int) else len(self.workers)

    @field_validator("workers")
    @classmethod
    def _workers_have_addresses(cls, value: int | list[str]) -> int | list[str]:
        for address in [] if isinstance(value, int) else value:
            host, _, port = address.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"write host:port for each worker, such as 192.168.0.10:5000 (found {address!r})")
        if not isinstance(value, int) and len(set(value)) < len(value):
            raise ValueError("an address occurs twice: each worker has its own")
        return value

    @model_validator(mode="after")
    def _workers_have_rows(self) -> "TrainConfig":
        if self.worker_count > self.batch_size:
            raise ValueError(
                f"workers: {self.worker_count} workers share a batch of {self.batch_size} texts: "
                "use fewer workers, or a larger batch_size"
            )
        return self

    @model_validator(mode="after")
    def _embedding_has_vectors(self) -> "TrainConfig":
        starts_from_vectors = self.initialize_from_vectors and self.attention != "published"
        if self.embedding in ("static", "two_channels") and not starts_from_vectors:
            raise ValueError(
                f"embedding: {self.embedding} needs word vectors to start from: set initialize_from_vectors to true "
                "and attention to another value than published, or embedding to auto"
            )
        return self


class EvaluateConfig(Section):
    """Scores on the test split and the report."""

    bootstrap_samples: Annotated[int, Field(ge=100)]
    confidence: OpenFraction
    seed: int
    target_accuracy: OpenFraction | None
    calibration_bins: Annotated[int, Field(ge=2)]
    min_slice_rows: Annotated[int, Field(ge=1)]
    length_quantiles: list[OpenFraction]
    example_texts: Annotated[int, Field(ge=1)]
    explained_texts: Annotated[int, Field(ge=1)]


class StageParams(Section):
    """The sections of params.yaml that the stages read."""

    data: DataConfig
    validate_: Annotated[ValidateConfig, Field(alias="validate")]
    split: SplitConfig
    tokenize: TokenizeConfig
    vectors: VectorsConfig
    baseline: BaselineConfig
    train: TrainConfig
    evaluate: EvaluateConfig
