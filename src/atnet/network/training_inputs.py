"""The inputs of a training: the encoded splits, the tokenizer, the labels and the word vectors."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from atnet.config import TrainConfig
from atnet.config.yaml_text import parse_yaml
from atnet.files import DVC_FILE, LABELS, PRETRAINED_VECTORS, TOKENIZER, WORD_VECTORS, encoded_split
from atnet.storage import read_array, read_json, reading
from atnet.text.encoded_split import EncodedSplit
from atnet.wide.branch import FitCallback, WideBranch, fit_wide_branch, ignore_fit

WIDE_SETTINGS = (
    "attention",
    "wide",
    "wide_regularization",
    "wide_max_tokens",
    "soft_target_slope",
    "teacher_weight",
    "teacher_temperature",
    "class_weights",
)
"""The parameters of section train on which the wide branch depends."""
INPUT_FILES = (
    TOKENIZER,
    LABELS,
    PRETRAINED_VECTORS,
    encoded_split("train"),
    encoded_split("validation"),
    WORD_VECTORS,
)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The data that a `Trainer` learns from."""

    train: EncodedSplit
    validation: EncodedSplit
    vocabulary_size: int
    classes: int
    pad_to: int | None
    """Tokens to which every text is padded; None pads a batch to its longest text."""
    vectors: np.ndarray | None = None
    """(V, D) word vectors of the V most frequent tokens, from which the embedding starts; the network treats all other
    tokens as the unknown word. None: an embedding of all tokens, randomly initialized."""
    wide: WideBranch | None = None
    """The fitted wide branch to combine with the network."""
    is_pretrained: bool = False
    """Whether the vectors come from a file of the user's."""


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """The contents of a training's input files; the test split is not among them."""

    train: EncodedSplit
    validation: EncodedSplit
    tokenizer: Tokenizer
    labels: list[str]
    vectors: np.ndarray
    """(V, D) word vectors of the V most frequent tokens."""
    is_pretrained: bool
    """Whether the vectors come from a file of the user's."""
    _wide_cache: dict[str, WideBranch | None] = field(default_factory=dict, repr=False)
    """The last fitted wide branch, by its settings: most trials of a search share them."""

    @classmethod
    def load(cls, root: Path) -> "TrainingInputs":
        """Read the outputs of `tokenize` and `vectors`.

        Raises:
            DataFileError: if a file is missing or damaged.
        """
        # The library raises no narrower exception.
        with reading(root / TOKENIZER, Exception):
            tokenizer = Tokenizer.from_file(str(root / TOKENIZER))
        return cls(
            train=EncodedSplit.load(root / encoded_split("train")),
            validation=EncodedSplit.load(root / encoded_split("validation")),
            tokenizer=tokenizer,
            labels=read_json(root / LABELS),
            vectors=read_array(root / WORD_VECTORS),
            is_pretrained=len(read_array(root / PRETRAINED_VECTORS)) > 0,
        )

    def training_data(self, config: TrainConfig, on_fit: FitCallback = ignore_fit) -> TrainingData:
        """Assemble the data of a `Trainer` with these settings; fits the wide branch, with `on_fit` after each fit."""
        return TrainingData(
            train=self.train,
            validation=self.validation,
            vocabulary_size=self.tokenizer.get_vocab_size(),
            classes=len(self.labels),
            pad_to=_max_length(self.tokenizer) if config.attention == "published" else None,
            vectors=self.vectors,
            wide=self._wide_branch(config, on_fit),
            is_pretrained=self.is_pretrained,
        )

    def _wide_branch(self, config: TrainConfig, on_fit: FitCallback) -> WideBranch | None:
        settings = config.model_dump_json(include=set(WIDE_SETTINGS))
        if settings not in self._wide_cache:
            self._wide_cache.clear()  # the branch of a large split takes a hundred megabytes
            self._wide_cache[settings] = fit_wide_branch(
                config,
                train=self.train,
                validation=self.validation,
                words=vocabulary(self.tokenizer),
                classes=len(self.labels),
                on_fit=on_fit,
            )
        return self._wide_cache[settings]


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """List the words, or subwords, of a tokenizer by token id."""
    ids: dict[str, int] = tokenizer.get_vocab()
    return sorted(ids, key=lambda word: ids[word])


def training_inputs(root: Path) -> list[Path]:
    """List the files on which a training depends."""
    return [root / path for path in INPUT_FILES]


def training_code(root: Path) -> list[Path]:
    """List the source files whose change makes DVC retrain the model; empty without a dvc.yaml."""
    dvc_file = root / DVC_FILE
    if not dvc_file.is_file():
        return []
    dependencies = parse_yaml(dvc_file.read_text(encoding="utf-8"))["stages"]["train"]["deps"]
    sources = [root / name for name in dependencies if name.startswith("src/")]
    return sorted(path for source in sources for path in ([source] if source.is_file() else source.rglob("*.py")))


def _max_length(tokenizer: Tokenizer) -> int | None:
    return tokenizer.truncation["max_length"] if tokenizer.truncation else None
