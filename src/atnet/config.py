"""The typed form of params.yaml: one frozen, strict section per stage, no defaults."""

import difflib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from atnet.errors import ConfigurationError

Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Severity = Literal["critical", "warning", "off"]
SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


class Section(BaseModel):
    """A part of params.yaml: unknown keys and loose types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


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
    """File format; auto goes by the file's name. Gzip is seen by itself."""
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


class TokenizeConfig(Section):
    """How texts become integer ids; fitted on the training split only."""

    kind: Literal["word", "bpe", "unigram"]
    """Whole words, byte-pair pieces or unigram pieces."""
    vocabulary_size: Annotated[int, Field(gt=2)]
    """Entries, padding and unknown included."""
    minimum_frequency: Annotated[int, Field(ge=1)]
    """Occurrences in train that a word (or merge) needs; unigram does not use it."""
    lowercase: bool
    """Fold case before anything else."""
    strip_accents: bool
    """Take accents off; leave false for Portuguese."""
    max_length: Annotated[int, Field(ge=1)] | None
    """Tokens kept per text; null: chosen by the quantile below."""
    max_length_quantile: Annotated[float, Field(gt=0, le=1)]
    """Quantile of the training lengths that becomes the maximum length."""
    max_length_limit: Annotated[int, Field(ge=1)]
    """The quantile never asks for more tokens than this."""


class VectorsConfig(Section):
    """Word vectors that the embedding starts from, made from the training split."""

    window: Annotated[int, Field(ge=1)]
    """Tokens up to this far apart count as standing together."""
    spread: Annotated[float, Field(gt=0)]
    """Standard deviation of the vectors' values, which sets how far training moves them."""
    seed: int
    """Of the randomised factorisation."""


class BaselineConfig(Section):
    """The linear models that AtNet must beat."""

    ngrams: Annotated[int, Field(ge=1, le=5)]
    """Longest word n-gram used as a feature."""
    minimum_frequency: Annotated[int, Field(ge=1)]
    """Training texts a feature must occur in."""
    regularisation: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    """Inverse regularisation strengths C tried on validation."""
    seed: int
    """Of the solvers."""


class TrainConfig(Section):
    """AtNet and its training."""

    seed: int
    """Of initial weights, dropout and the order of the texts."""
    attention: Literal["seed", "rescaled", "pooled"]
    """seed: as published; rescaled: masked, weights times length; pooled: weighted sum joined to the maximum."""
    embedding_dimensions: Annotated[int, Field(ge=1)]
    """Values per token."""
    start_from_vectors: bool
    """Start the embedding from the word vectors; mode seed always starts from chance."""
    embedding_dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of embedding values dropped in training."""
    filters: Annotated[int, Field(ge=1)]
    """Filters of the convolution."""
    kernel_size: Annotated[int, Field(ge=1)]
    """Tokens the convolution sees at once."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of pooled values dropped in training."""
    hidden_units: Annotated[int, Field(ge=1)]
    """Units of the dense layer before the output."""
    wide: bool
    """Add a wide branch of word and word-pair log-count ratios; mode seed never has one."""
    wide_learning_rate_factor: Annotated[float, Field(gt=0)]
    """The wide branch learns this many times faster."""
    epochs: Annotated[int, Field(ge=1)]
    """Passes over the training split, at most."""
    patience: Annotated[int, Field(ge=1)]
    """Epochs without a better validation loss before training stops."""
    batch_size: Annotated[int, Field(ge=1)]
    """Texts per step."""
    learning_rate: Annotated[float, Field(gt=0)]
    """Step size of Adam."""
    schedule: Literal["constant", "cosine"]
    """Learning rate over time: constant, or a cosine to zero over all epochs."""
    class_weights: Literal["none", "balanced"]
    """none, or balanced: inverse class frequency."""
    soft_target_slope: Annotated[float, Field(gt=0)] | None
    """Targets are sigmoid(slope x rating) where ratings exist; null: hard labels."""
    precision: Literal["auto", "float32", "bfloat16"]
    """Of the computation; auto: bfloat16 where the CPU computes in it. Weights stay float32."""
    length_buckets: bool
    """Batch texts of similar length together, padded to the batch's longest."""


class EvaluateConfig(Section):
    """How the model is judged."""

    bootstrap_samples: Annotated[int, Field(ge=100)]
    """Resamples behind every interval."""
    confidence: OpenFraction
    """Of every interval."""
    seed: int
    """Of the resampling."""
    calibration_bins: Annotated[int, Field(ge=2)]
    """Equal-width bins of the expected calibration error."""
    minimum_slice_rows: Annotated[int, Field(ge=1)]
    """Smaller slices are counted, not scored."""
    length_slices: list[OpenFraction]
    """Quantiles of the test lengths that part the length slices."""
    listed_texts: Annotated[int, Field(ge=1)]
    """Rows in the lists of most wrong and most unsure texts."""
    attention_texts: Annotated[int, Field(ge=1)]
    """Sample texts on the attention page."""


class TrackingConfig(Section):
    """Where MLflow keeps runs and models. No stage depends on it: moving the store retrains nothing."""

    uri: str
    """Tracking store; `MLFLOW_TRACKING_URI` in the environment wins. A relative path is anchored at the project."""
    artifacts: str
    """Artifact folder when the store is SQLite, anchored at the project."""
    experiment: str
    """Experiment of the training runs."""
    timeout_seconds: Annotated[int, Field(ge=1)]
    """How long the store may take to answer before training starts."""
    model_name: str
    """Name of the registered model."""


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


class Params(Section):
    """All of params.yaml."""

    folders: FoldersConfig
    data: DataConfig
    validate_: Annotated[ValidateConfig, Field(alias="validate")]
    split: SplitConfig
    tokenize: TokenizeConfig
    vectors: VectorsConfig
    baseline: BaselineConfig
    train: TrainConfig
    evaluate: EvaluateConfig
    tracking: TrackingConfig
    release: ReleaseConfig

    @model_validator(mode="after")
    def _has_labels(self) -> "Params":
        columns, rule = self.data.columns, self.validate_.label_from_rating
        if rule is None and columns.label is None:
            raise ValueError("data.columns.label is null: name the label column, or set validate.label_from_rating")
        if rule is not None and columns.rating is None:
            raise ValueError("validate.label_from_rating needs data.columns.rating")
        return self


def parse_params(text: str, *, source: str = "params.yaml") -> Params:
    """Read params.yaml's text into typed sections.

    Raises:
        ConfigurationError: naming every faulty key and, for an unknown one, the nearest known name.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{source} holds no sections. Restore it with `git checkout {source}`.")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(f"  {_describe(problem)}" for problem in error.errors())
        raise ConfigurationError(
            f"{source} cannot be used:\n{problems}\nMend it; docs/parameters.md lists every key with unit and meaning."
        ) from error


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "params"
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key{_suggestion(problem['loc'])}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key}: {message} (found {problem['input']!r})" if problem["type"] != "value_error" else f"{key}: {message}"


def _suggestion(location: tuple[int | str, ...]) -> str:
    known = list(_known_names(Params, location[:-1]))
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else f" (known here: {', '.join(known)})"


def _known_names(section: type[BaseModel], path: tuple[int | str, ...]) -> Iterator[str]:
    for part in path:
        field = next((f for n, f in section.model_fields.items() if (f.alias or n) == part), None)
        inner = field and next((t for t in (field.annotation, *get_args(field.annotation)) if _is_section(t)), None)
        if inner is None:
            return
        section = inner
    yield from (field.alias or name for name, field in section.model_fields.items())


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
