"""Small encoded splits and models for the tests of everything behind the tokenizer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, models, pre_tokenizers

from atnet import files
from atnet.text.encoded_split import EncodedSplit
from atnet.text.ngrams import RUN_FACTOR, answer_columns
from atnet.wide.branch import WideBranch

VOCABULARY = 40
WORDS = ["[PAD]", "[UNK]", *(f"w{index}" for index in range(2, VOCABULARY))]


def tokens_of(rng: np.random.Generator, label: int, longest: int) -> list[int]:
    """Draw a text whose label shows in one token among noise."""
    tokens = rng.integers(10, VOCABULARY, size=rng.integers(1, longest))
    tokens[rng.integers(len(tokens))] = 2 + label
    return tokens.tolist()


def encoded_split(
    rows: int, *, classes: int = 2, longest: int = 20, seed: int = 0, ratings: Sequence[float] | None = None
) -> EncodedSplit:
    """Make a split that a network can learn."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    texts = [tokens_of(rng, int(label), longest) for label in labels]
    return EncodedSplit(
        tokens=np.concatenate(texts).astype(np.int32),
        offsets=np.cumsum([0, *map(len, texts)]).astype(np.int64),
        labels=labels.astype(np.int32),
        text_hashes=[f"{seed:08x}{row:08x}" for row in range(rows)],
        ratings=None if ratings is None else np.array(ratings, np.float32),
        weights=None,
    )


def some_wide(classes: int, vocabulary_size: int, slots: int = 64, seed: int = 0) -> WideBranch:
    """Make a wide branch of chance weights, whose runs are all pairs of the vocabulary's first tokens."""
    rng, columns = np.random.default_rng(seed), answer_columns(classes)
    numbers = np.full(slots, -1, np.int64)
    for first in range(2, vocabulary_size):
        for second in range(2, min(vocabulary_size, 10)):
            number = first * RUN_FACTOR + second
            numbers[number % slots] = number
    weights = {"words": vocabulary_size, "runs": slots, "spelling": vocabulary_size}
    return WideBranch(
        **{name: rng.normal(size=(rows, columns)).astype(np.float32) for name, rows in weights.items()},
        numbers=numbers,
        letters=rng.integers(1, 20, vocabulary_size).astype(np.float32),
        intercept=rng.normal(size=columns).astype(np.float32),
    )


def word_tokenizer(max_length: int = 20) -> Tokenizer:
    """Make a tokenizer that knows the words w2, w3, … and keeps `max_length` of them."""
    words = models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = Tokenizer(words)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def write_tokens(root: Path, *, classes: int = 2, rows: int = 120) -> None:
    """Write what `tokenize` writes, small."""
    (root / files.TOKENS).mkdir(parents=True, exist_ok=True)
    word_tokenizer().save(str(root / files.TOKENIZER))
    names = ", ".join(f'"label-{index}"' for index in range(classes))
    (root / files.LABELS).write_text(f"[{names}]\n")
    for seed, name in enumerate(("train", "validation", "test")):
        split = encoded_split(rows if name == "train" else 30, classes=classes, seed=seed)
        write_split(root / files.encoded_split(name), split)


def write_split(path: Path, split: EncodedSplit) -> None:
    """Write a split as `tokenize` does."""
    bounds = zip(split.offsets[:-1], split.offsets[1:], strict=True)
    table = pa.table(
        {
            "id": [f"row-{row}" for row in range(len(split))],
            "tokens": pa.array([split.tokens[start:end] for start, end in bounds], pa.list_(pa.int32())),
            "label": pa.array(split.labels, pa.int32()),
            "text_hash": split.text_hashes,
        }
    )
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def write_vectors(root: Path, vectors: np.ndarray) -> None:
    """Write what `vectors` writes."""
    (root / files.VECTORS).mkdir(parents=True, exist_ok=True)
    np.save(root / files.WORD_VECTORS, vectors)
