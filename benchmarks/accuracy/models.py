"""The models of the comparison, and the variants of the ablation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from atnet.errors import ConfigurationError

ATNET, ATNET_PRETRAINED, ATNET_PUBLISHED = "atnet", "atnet_pretrained", "atnet_published"
FASTTEXT, LINEAR_SVM = "fasttext", "linear_svm"
LINEAR = ("majority", "tfidf_logistic_regression", "nb_svm", LINEAR_SVM)
BASELINES = (*LINEAR, FASTTEXT)
TITLES = {
    "majority": "majority class",
    "tfidf_logistic_regression": "TF-IDF(1,2) + logistic regression",
    "nb_svm": "NB-SVM(1,2)",
    LINEAR_SVM: "linear SVM, words(1,2) + characters(2,5)",
    FASTTEXT: "fastText",
    ATNET_PUBLISHED: "AtNet, as published",
    ATNET: "**AtNet, default**",
    ATNET_PRETRAINED: "**AtNet, from pretrained vectors**",
}

AS_PUBLISHED: dict[str, Any] = {
    "train.attention": "published",
    "tokenize.max_length_limit": 500,
    "train.learning_rate": 0.001,
    "train.batch_size": 32,
    "train.epochs": 10,
    "train.patience": 10,
}
"""The published example reads 500 tokens, and published mode pads every text to the longest. Learning rate and batch
size are Keras's defaults. No early stopping: padded to 500 tokens, the loss stays on a plateau before it falls."""

VARIANTS: dict[str, dict[str, Any]] = {
    # What differs from params.yaml, by dotted names; sections of the stages before `train` may differ too.
    "default": {},
    "as published": AS_PUBLISHED,
    "rescaled attention": {"train.attention": "rescaled"},
    "no wide branch": {"train.wide": False},
    "random initialization of the embedding": {"train.initialize_from_vectors": False},
    "hard labels": {"train.soft_target_slope": None},
    "no embedding dropout": {"train.embedding_dropout": 0.0},
    "no dropout": {"train.embedding_dropout": 0.0, "train.dropout": 0.0},
    "no rare words": {"tokenize.min_frequency": 2},
    "rare words in the embedding too": {"vectors.min_frequency": 1},
    "byte-pair encoding": {"tokenize.kind": "bpe", "tokenize.vocabulary_size": 8000},
    "float32": {"train.precision": "float32"},
    "10 hidden units": {"train.hidden_units": 10},
    "100 hidden units": {"train.hidden_units": 100},
    "200 hidden units": {"train.hidden_units": 200},
}
"""What `--ablation` compares with the first, `default`."""

VECTOR_VARIANTS: dict[str, dict[str, Any]] = {
    "fine-tuned": {"train.embedding": "fine_tuned"},
    "two channels": {"train.embedding": "two_channels"},
    "no words but those of train": {"vectors.pretrained_words": 0},
    "200,000 words of the file": {"vectors.pretrained_words": 200_000},
    "kernel size 3": {"train.kernel_size": 3},
    "kernel size 7": {"train.kernel_size": 7},
    "32 filters": {"train.filters": 32},
    "128 filters": {"train.filters": 128},
    "256 filters": {"train.filters": 256},
    "rescaled attention": {"train.attention": "rescaled"},
    "no wide branch": {"train.wide": False},
}
"""What `--ablation --vectors FILE` compares with the default that starts from the file."""

Kind = Literal["linear", "fasttext", "atnet"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model with its seeds: one row of the table for each dataset."""

    name: str
    kind: Kind
    seeds: tuple[int, ...]
    """One per training; linear models have no randomness and need one."""
    overrides: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def title(self) -> str:
        """Return the name shown in tables."""
        return TITLES.get(self.name, self.name)


def compared_models(
    names: Sequence[str], *, first_seed: int, seeds: int, published_seeds: int, vectors: Path | None = None
) -> list[ModelSpec]:
    """Return the models with their seeds, in the order of the table.

    Args:
        names: the models wanted.
        first_seed: of the trainings; the others follow it.
        seeds: how many.
        published_seeds: how many of AtNet as published.
        vectors: a file of word vectors; without it the model that starts from them is left out.
    """
    all_seeds = tuple(range(first_seed, first_seed + seeds))
    models = {
        **{name: ModelSpec(name, "linear", (first_seed,)) for name in LINEAR},
        FASTTEXT: ModelSpec(FASTTEXT, "fasttext", all_seeds),
        ATNET_PUBLISHED: ModelSpec(ATNET_PUBLISHED, "atnet", all_seeds[:published_seeds], AS_PUBLISHED),
        ATNET: ModelSpec(ATNET, "atnet", all_seeds),
    }
    if vectors is not None:
        overrides = {"vectors.pretrained": str(vectors.resolve())}
        models[ATNET_PRETRAINED] = ModelSpec(ATNET_PRETRAINED, "atnet", all_seeds, overrides)
    return [model for name, model in models.items() if name in names]


def ablation_variants(
    names: Sequence[str], *, first_seed: int, seeds: int, vectors: Path | None = None
) -> list[ModelSpec]:
    """Return the variants of the ablation, `default` first; all of them if no name is given.

    Args:
        names: the variants wanted; those of VECTOR_VARIANTS if there are vectors, else those of VARIANTS.
        first_seed: of the trainings; the others follow it.
        seeds: how many.
        vectors: a file of word vectors, from which every variant starts.

    Raises:
        ConfigurationError: if a name is not among them.
    """
    variants = VARIANTS if vectors is None else {"default": {}, **VECTOR_VARIANTS}
    unknown = [name for name in names if name not in variants]
    if unknown:
        raise ConfigurationError(f"--ablation has no variant {unknown[0]!r}; choose from {', '.join(variants)}.")
    shared = {} if vectors is None else {"vectors.pretrained": str(vectors.resolve())}
    all_seeds = tuple(range(first_seed, first_seed + seeds))
    chosen = ["default", *(name for name in names or variants if name != "default")]
    return [ModelSpec(name, "atnet", all_seeds, {**shared, **variants[name]}) for name in chosen]
