"""Who takes part, and the variants of the ablation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

ATNET, ATNET_SEED, FASTTEXT = "atnet", "atnet_seed", "fasttext"
LINEAR = ("majority", "tfidf_logistic_regression", "nb_svm")
BASELINES = (*LINEAR, FASTTEXT)
TITLES = {
    "majority": "majority class",
    "tfidf_logistic_regression": "TF-IDF(1,2) + logistic regression",
    "nb_svm": "NB-SVM(1,2)",
    FASTTEXT: "fastText",
    ATNET_SEED: "AtNet, seed mode (as published)",
    ATNET: "**AtNet, default**",
}

AS_PUBLISHED: dict[str, Any] = {
    "train.attention": "published",
    "tokenize.max_length_limit": 500,
    "train.learning_rate": 0.001,
    "train.batch_size": 32,
    "train.epochs": 10,
    "train.patience": 10,
}
"""The published example reads 500 tokens, and mode seed pads every text to the longest. Rate and batch are what Keras
takes by itself; it stops at no plateau, and padded to 500 tokens the network crawls along one before it learns."""

VARIANTS: dict[str, dict[str, Any]] = {
    # What differs from params.yaml, by dotted names; sections of the stages before `train` may differ too.
    "default": {},
    "as published (seed)": AS_PUBLISHED,
    "attention rescaled": {"train.attention": "rescaled"},
    "no wide branch": {"train.wide": False},
    "embedding from chance": {"train.initialize_from_vectors": False},
    "hard labels": {"train.soft_target_slope": None},
    "no embedding dropout": {"train.embedding_dropout": 0.0},
    "no dropout at all": {"train.embedding_dropout": 0.0, "train.dropout": 0.0},
    "no rare words": {"tokenize.min_frequency": 2},
    "rare words in the embedding too": {"vectors.min_frequency": 1},
    "byte-pair pieces": {"tokenize.kind": "bpe", "tokenize.vocabulary_size": 8000},
    "float32": {"train.precision": "float32"},
}
"""What `--ablation` compares with the first, `default`."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """One row of the table: a model with its seeds."""

    name: str
    kind: Literal["linear", "fasttext", "atnet"]
    seeds: tuple[int, ...]
    """One for each training; linear models give the same answers with any."""
    overrides: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def title(self) -> str:
        """Name it in a table."""
        return TITLES.get(self.name, self.name)


def entrants(names: Sequence[str], *, first_seed: int, seeds: int, seed_mode_seeds: int) -> list[Entrant]:
    """Give the models with their seeds, in the order of the table."""
    many = tuple(range(first_seed, first_seed + seeds))
    few = many[:seed_mode_seeds]
    known = {
        **{name: Entrant(name, "linear", (first_seed,)) for name in LINEAR},
        FASTTEXT: Entrant(FASTTEXT, "fasttext", many),
        ATNET_SEED: Entrant(ATNET_SEED, "atnet", few, AS_PUBLISHED),
        ATNET: Entrant(ATNET, "atnet", many),
    }
    return [entrant for name, entrant in known.items() if name in names]


def variants(names: Sequence[str], *, first_seed: int, seeds: int) -> list[Entrant]:
    """Give the variants of the ablation, `default` first; all where none is named."""
    many = tuple(range(first_seed, first_seed + seeds))
    wanted = ["default", *(name for name in names or VARIANTS if name != "default")]
    return [Entrant(name, "atnet", many, VARIANTS[name]) for name in wanted]
