"""What a training reads: the encoded splits, the tokenizer, the labels and the word vectors."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import numpy as np
import yaml
from tokenizers import Tokenizer

from atnet.config import TrainConfig
from atnet.files import DVC_FILE, LABELS, TOKENIZER, WORD_VECTORS, encoded_split
from atnet.storage import read_json, reading
from atnet.text.encoded_split import EncodedSplit
from atnet.wide.branch import WideBranch, wide_branch

WIDE_SETTINGS = ("attention", "wide", "wide_regularization", "wide_max_tokens", "soft_target_slope", "class_weights")
"""The parameters of section train on which the wide branch depends."""
INPUT_FILES = (TOKENIZER, LABELS, encoded_split("train"), encoded_split("validation"), WORD_VECTORS)


class TrainerInputs(TypedDict):
    """What the data gives to a `Trainer`."""

    train: EncodedSplit
    validation: EncodedSplit
    vocabulary_size: int
    classes: int
    pad_to: int | None
    vectors: np.ndarray
    wide: WideBranch | None


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """The files of one training, read; the test split is not among them."""

    train: EncodedSplit
    validation: EncodedSplit
    tokenizer: Tokenizer
    labels: list[str]
    vectors: np.ndarray
    """(V, D) word vectors of the V most frequent tokens."""
    fitted: dict[str, WideBranch | None] = field(default_factory=dict, repr=False)
    """The wide branch last asked for, by its settings: a search mostly asks for the same one again and again."""

    @classmethod
    def load(cls, root: Path) -> "TrainingInputs":
        """Read what `tokenize` and `vectors` wrote.

        Raises:
            DataFileError: if a file is missing or damaged.
        """
        # The library raises no narrower exception.
        with reading(root / TOKENIZER, Exception):
            tokenizer = Tokenizer.from_file(str(root / TOKENIZER))
        with reading(root / WORD_VECTORS, ValueError, EOFError):
            vectors = np.load(root / WORD_VECTORS)
        return cls(
            train=EncodedSplit.load(root / encoded_split("train")),
            validation=EncodedSplit.load(root / encoded_split("validation")),
            tokenizer=tokenizer,
            labels=read_json(root / LABELS),
            vectors=vectors,
        )

    def for_trainer(self, config: TrainConfig) -> TrainerInputs:
        """Give a `Trainer` what it asks of the data: `Trainer(config, precision=…, **files.for_trainer(config))`."""
        return {
            "train": self.train,
            "validation": self.validation,
            "vocabulary_size": self.tokenizer.get_vocab_size(),
            "classes": len(self.labels),
            "pad_to": _max_length(self.tokenizer) if config.attention == "published" else None,
            "vectors": self.vectors,
            "wide": self._wide(config),
        }

    def _wide(self, config: TrainConfig) -> WideBranch | None:
        asked = config.model_dump_json(include=set(WIDE_SETTINGS))
        if asked not in self.fitted:
            self.fitted.clear()  # one of a large set takes a hundred megabytes
            self.fitted[asked] = wide_branch(
                config,
                train=self.train,
                validation=self.validation,
                words=vocabulary(self.tokenizer),
                classes=len(self.labels),
            )
        return self.fitted[asked]


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """List the words, or pieces, of a tokenizer by token id."""
    numbered: dict[str, int] = tokenizer.get_vocab()
    return sorted(numbered, key=lambda word: numbered[word])


def training_inputs(root: Path) -> list[Path]:
    """List the files on which a training depends."""
    return [root / path for path in INPUT_FILES]


def training_code(root: Path) -> list[Path]:
    """List the source files whose change makes DVC retrain the model; empty without a dvc.yaml."""
    graph = root / DVC_FILE
    if not graph.is_file():
        return []
    dependencies = yaml.safe_load(graph.read_text(encoding="utf-8"))["stages"]["train"]["deps"]
    sources = [root / name for name in dependencies if name.startswith("src/")]
    return sorted(path for source in sources for path in ([source] if source.is_file() else source.rglob("*.py")))


def _max_length(tokenizer: Tokenizer) -> int | None:
    return tokenizer.truncation["max_length"] if tokenizer.truncation else None
