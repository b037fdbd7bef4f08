"""Small encoded splits, tokenizers and wide branches for the tests of everything after the tokenizer."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, models, pre_tokenizers

from atnet import files
from atnet.text.encoded_split import EncodedSplit
from atnet.text.ngrams import NGRAM_BASE, weight_columns
from atnet.wide.branch import WideBranch

VOCABULARY = 40
WORDS = ["[PAD]", "[UNK]", *(f"w{index}" for index in range(2, VOCABULARY))]


def encoded_split(
    rows: int, *, classes: int = 2, max_tokens: int = 20, seed: int = 0, ratings: Sequence[float] | None = None
) -> EncodedSplit:
    """Build a split of random texts, each with one token that determines its label."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    texts = [_random_text(rng, int(label), max_tokens) for label in labels]
    return EncodedSplit(
        tokens=np.concatenate(texts).astype(np.int32),
        offsets=np.cumsum([0, *map(len, texts)]).astype(np.int64),
        labels=labels.astype(np.int32),
        text_hashes=pa.array([f"{seed:08x}{row:08x}" for row in range(rows)]),
        ratings=None if ratings is None else np.array(ratings, np.float32),
        weights=None,
    )


def split_of_texts(texts: Sequence[Sequence[int]], labels: Sequence[int]) -> EncodedSplit:
    """Build a split of the given token ids and labels."""
    return EncodedSplit(
        tokens=np.concatenate([np.asarray(text) for text in texts]).astype(np.int32),
        offsets=np.cumsum([0, *map(len, texts)]),
        labels=np.array(labels, np.int32),
        text_hashes=pa.array([f"{row:016x}" for row in range(len(texts))]),
        ratings=None,
        weights=None,
    )


def pad(texts: Sequence[Sequence[int]], extra: int = 0) -> np.ndarray:
    """Pad token ids with zeros to a batch, by `extra` more than the longest text needs."""
    tokens = np.zeros((len(texts), max(map(len, texts)) + extra), np.int32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = text
    return tokens


def random_wide_branch(
    classes: int, vocabulary_size: int, slots: int = 64, seed: int = 0, max_n: int = 2
) -> WideBranch:
    """Build a wide branch of random weights, whose n-grams consist of the first tokens of the vocabulary."""
    rng, columns = np.random.default_rng(seed), weight_columns(classes)
    ngram_ids = np.full(slots, -1, np.int64)
    for first in range(2, vocabulary_size):
        for second in range(2, min(vocabulary_size, 10)):
            ngram_id = first * NGRAM_BASE + second
            if max_n == 3 and second % 2:
                ngram_id = ngram_id * NGRAM_BASE + first
            ngram_ids[ngram_id % slots] = ngram_id

    def weights(rows: int) -> np.ndarray:
        return rng.normal(size=(rows, columns)).astype(np.float32)

    return WideBranch(
        word_weights=weights(vocabulary_size),
        ngram_weights=weights(slots),
        ngram_ids=ngram_ids,
        char_ngram_weights=weights(vocabulary_size),
        char_ngram_counts=rng.integers(1, 20, vocabulary_size).astype(np.float32),
        intercept=rng.normal(size=columns).astype(np.float32),
    )


def word_tokenizer(max_length: int = 20) -> Tokenizer:
    """Build a tokenizer of the words w2, w3, … that truncates texts to `max_length` tokens."""
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def write_tokens(root: Path, *, classes: int = 2, rows: int = 120) -> None:
    """Write small outputs of the stage `tokenize`."""
    (root / files.TOKENS).mkdir(parents=True, exist_ok=True)
    word_tokenizer().save(str(root / files.TOKENIZER))
    np.save(root / files.PRETRAINED_VECTORS, np.zeros((0, 0), np.float32))
    names = ", ".join(f'"label-{index}"' for index in range(classes))
    (root / files.LABELS).write_text(f"[{names}]\n")
    for seed, name in enumerate(("train", "validation", "test")):
        split = encoded_split(rows if name == "train" else 30, classes=classes, seed=seed)
        write_split(root / files.encoded_split(name), split)


def write_split(path: Path, split: EncodedSplit) -> None:
    """Write an encoded split in the format of the stage `tokenize`."""
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
    """Write the output of the stage `vectors`."""
    (root / files.VECTORS).mkdir(parents=True, exist_ok=True)
    np.save(root / files.WORD_VECTORS, vectors)


def _random_text(rng: np.random.Generator, label: int, max_tokens: int) -> list[int]:
    tokens = rng.integers(10, VOCABULARY, size=rng.integers(1, max_tokens))
    tokens[rng.integers(len(tokens))] = 2 + label
    return [int(token) for token in tokens]
