"""Sections of the model: tokens, vectors, baselines, training, evaluation, tracking."""

from typing import Annotated, Literal

from pydantic import Field

from atnet.config.section import OpenFraction, Section


class TokenizeConfig(Section):
    """How texts become integer ids; fitted on the training split only."""

    kind: Literal["word", "bpe", "unigram"]
    """Whole words, byte-pair pieces or unigram pieces."""
    vocabulary_size: Annotated[int, Field(gt=2, le=1_000_000)]
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

    vocabulary_size: Annotated[int, Field(gt=2)]
    """Most frequent tokens that have a vector, and a place in the embedding; the network does not know the others."""
    minimum_frequency: Annotated[int, Field(ge=1)]
    """Occurrences in train that such a token needs."""
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
    embedding_dimensions: Annotated[int, Field(ge=2)]
    """Values per token."""
    start_from_vectors: bool
    """Start the embedding from the word vectors; mode seed always starts from chance."""
    embedding_dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of the embedding dimensions dropped for a text in training, at all its tokens."""
    filters: Annotated[int, Field(ge=1)]
    """Filters of the convolution."""
    kernel_size: Annotated[int, Field(ge=1)]
    """Tokens the convolution sees at once."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Share of pooled values dropped in training."""
    hidden_units: Annotated[int, Field(ge=1)]
    """Units of the dense layer before the output."""
    wide: bool
    """Add a wide branch, a linear model of words, runs of words and spelling; mode seed never has one."""
    wide_regularisation: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    """Inverse regularisation strengths C of the wide branch tried on validation."""
    wide_tokens: Annotated[int, Field(ge=1)] | None
    """Tokens of train from which the wide branch learns at most, drawn as whole texts; null: all."""
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
