"""Encoded splits, memory-mapped, and batches of them.

Shapes: N texts, B texts of a batch, T tokens of its longest text, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from atnet.errors import DataContractError, DataFileError

BUCKET_BATCHES = 64
"""Texts are sorted by length within windows of this many batches, so that the order stays nearly random."""
SAMPLE_SEED = 13
LENGTH_STEP = 8
"""Batches are padded to a multiple of this many tokens: the CPU library prepares each shape once, so few are better."""


@dataclass(frozen=True, slots=True)
class EncodedSplit:
    """Texts as token ids. `tokens` is a view of the file on disk and takes no memory until it is read."""

    tokens: np.ndarray
    """Token ids of all texts, concatenated, int32."""
    offsets: np.ndarray
    """(N + 1,) position of each text's first token in `tokens`."""
    labels: np.ndarray
    """(N,) class ids, int32; of a row that only the teacher labels, its most probable class."""
    text_hashes: pa.ChunkedArray | pa.StringArray
    """(N,) names as in `schema.text_hash`, memory-mapped too."""
    ratings: np.ndarray | None
    """(N,) float32, NaN where unknown; None if the data have no ratings."""
    weights: np.ndarray | None
    """(N,) float32; None if the data have no weights."""
    hard_labels: np.ndarray | None = None
    """(N,) bool, whether the row has a label of its own; None without a teacher: all have one."""
    teacher: np.ndarray | None = None
    """(N, C) float32, the teacher's class probabilities, NaN in rows without; None without a teacher."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) tokens per text."""
        lengths: np.ndarray = np.diff(self.offsets)
        return lengths

    @property
    def is_hard(self) -> np.ndarray:
        """(N,) bool, whether each row has a label of its own."""
        return np.ones(len(self), dtype=bool) if self.hard_labels is None else self.hard_labels

    @classmethod
    def load(cls, path: Path) -> "EncodedSplit":
        """Memory-map an Arrow file that stage `tokenize` wrote.

        Raises:
            DataFileError: if it is missing or damaged.
        """
        try:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except FileNotFoundError:
            raise DataFileError(f"{path} is missing. Run `dvc repro`.") from None
        except pa.ArrowInvalid as error:
            raise DataFileError(f"{path} is damaged ({error}). Delete it and run `dvc repro`.") from error
        tokens = table["tokens"].combine_chunks() if table["tokens"].num_chunks != 1 else table["tokens"].chunk(0)
        return cls(
            tokens=tokens.values.to_numpy(zero_copy_only=True),
            offsets=tokens.offsets.to_numpy(zero_copy_only=True),
            labels=table["label"].to_numpy(),
            text_hashes=table["text_hash"],
            ratings=_optional(table, "rating"),
            weights=_optional(table, "weight"),
            hard_labels=_optional(table, "hard_label"),
            teacher=_teacher(table),
        )

    @classmethod
    def unlabeled(cls, tokens: pa.ListArray) -> "EncodedSplit":
        """Build a split of texts without labels, which all count as class 0, from lists of token ids."""
        return cls(
            tokens=tokens.values.to_numpy(),
            offsets=tokens.offsets.to_numpy(),
            labels=np.zeros(len(tokens), np.int32),
            text_hashes=pa.array([], pa.string()),
            ratings=None,
            weights=None,
        )

    def taken(self, rows: np.ndarray) -> "EncodedSplit":
        """Copy the given texts into a new split."""
        starts, ends = self.offsets[rows].tolist(), self.offsets[rows + 1].tolist()
        texts = [self.tokens[start:end] for start, end in zip(starts, ends, strict=True)]
        return EncodedSplit(
            tokens=np.concatenate(texts),
            offsets=np.append(0, np.cumsum(self.lengths[rows])),
            labels=self.labels[rows],
            text_hashes=self.text_hashes.take(rows),
            ratings=None if self.ratings is None else self.ratings[rows],
            weights=None if self.weights is None else self.weights[rows],
            hard_labels=None if self.hard_labels is None else self.hard_labels[rows],
            teacher=None if self.teacher is None else self.teacher[rows],
        )

    def sampled(self, tokens: int | None) -> "EncodedSplit":
        """Return a random sample of whole texts with at most this many tokens; the split itself if it has no more.

        The sample is the same each time, keeps the order of the texts and has at least one. None: no limit.
        """
        if tokens is None or self.lengths.sum() <= tokens:
            return self
        drawn = np.random.default_rng(SAMPLE_SEED).permutation(len(self))
        size = np.searchsorted(self.lengths[drawn].cumsum(), tokens, side="right")
        return self.taken(np.sort(drawn[: max(size, 1)]))

    def blocks(self, tokens: int) -> Iterator["EncodedSplit"]:
        """Divide the split into blocks of consecutive texts with at most this many tokens, or a single longer text.

        Tokens are not copied.
        """
        if self.offsets[-1] - self.offsets[0] <= tokens:
            yield self
            return
        start = 0
        while start < len(self):
            limit = self.offsets[start] + tokens
            end = max(int(np.searchsorted(self.offsets, limit, side="right")) - 1, start + 1)
            rows = slice(start, end)
            yield EncodedSplit(
                tokens=self.tokens,
                offsets=self.offsets[start : end + 1],
                labels=self.labels[rows],
                text_hashes=self.text_hashes[rows],
                ratings=None if self.ratings is None else self.ratings[rows],
                weights=None if self.weights is None else self.weights[rows],
                hard_labels=None if self.hard_labels is None else self.hard_labels[rows],
                teacher=None if self.teacher is None else self.teacher[rows],
            )
            start = end

    def padded(self, rows: np.ndarray, pad_to: int | None = None) -> np.ndarray:
        """Return the given texts as (B, T) int32, padded with zeros."""
        starts, ends = self.offsets[rows], self.offsets[rows + 1]
        longest = int((ends - starts).max())
        batch = np.zeros((len(rows), pad_to or -(-longest // LENGTH_STEP) * LENGTH_STEP), np.int32)
        for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
            batch[row, : end - start] = self.tokens[start:end]
        return batch


def training_batches(
    lengths: np.ndarray, *, batch_size: int, bucketed: bool, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Divide all rows, in random order, into batches; if `bucketed`, of texts of similar length."""
    order = rng.permutation(len(lengths))
    if bucketed:
        window = batch_size * BUCKET_BATCHES
        windows = (order[start : start + window] for start in range(0, len(order), window))
        order = np.concatenate([rows[np.argsort(lengths[rows], kind="stable")] for rows in windows])
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return (batches[position] for position in rng.permutation(len(batches)))


def ordered_batches(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Divide all rows into batches by length, the same batches each time."""
    order = np.argsort(lengths, kind="stable")
    return (order[start : start + batch_size] for start in range(0, len(order), batch_size))


def class_targets(split: EncodedSplit, *, classes: int, soft_target_slope: float | None) -> np.ndarray:
    """Return the training targets, (N, C) float32 with rows that sum to 1.

    One-hot labels; for two classes with ratings, sigmoid(slope x rating) for the class with the higher ratings. A
    rating whose sign contradicts its label does not soften it, as with stars, which are all above zero.
    """
    targets: np.ndarray = np.eye(classes, dtype=np.float32)[split.labels]
    if soft_target_slope is None or split.ratings is None or classes != 2:
        return targets
    rated = np.isfinite(split.ratings) & split.is_hard
    upper = _class_with_higher_ratings(split.labels[rated], split.ratings[rated])
    rated &= np.where(split.labels == upper, split.ratings, -split.ratings) >= 0
    probability = 1 / (1 + np.exp(-soft_target_slope * split.ratings[rated]))
    targets[rated, upper] = probability
    targets[rated, 1 - upper] = 1 - probability
    return targets


def row_weights(split: EncodedSplit, *, classes: int, balanced: bool) -> np.ndarray:
    """Return the sample weights, (N,) float32 with mean 1.

    If `balanced`, each class has the same total over the rows with a label of their own; a row that only the teacher
    labels weighs as one of its most probable class.
    """
    weights = np.ones(len(split), np.float64) if split.weights is None else split.weights.astype(np.float64)
    if balanced:
        rows_C = np.bincount(split.labels[split.is_hard], minlength=classes)
        weights = weights / rows_C[split.labels]
    scaled: np.ndarray = (weights / weights.mean()).astype(np.float32)
    return scaled


def check_splits(train: EncodedSplit, validation: EncodedSplit) -> None:
    """Check that a model can be trained on the splits.

    Raises:
        DataContractError: if a split is empty or the training split has fewer than two labels.
    """
    for name, split in (("training", train), ("validation", validation)):
        if len(split) == 0:
            raise DataContractError(f"The {name} split is empty. Add rows, or change split.fractions.")
    if len(np.unique(train.labels[train.is_hard])) < 2:
        raise DataContractError("The training split has only one label; a classifier needs two. Check the labels.")


def _class_with_higher_ratings(labels: np.ndarray, ratings: np.ndarray) -> int:
    means = [ratings[labels == label].mean() if (labels == label).any() else 0.0 for label in (0, 1)]
    return int(means[1] > means[0])


def _teacher(table: pa.Table) -> np.ndarray | None:
    if "teacher" not in table.column_names:
        return None
    column = table["teacher"].combine_chunks() if table["teacher"].num_chunks != 1 else table["teacher"].chunk(0)
    values: np.ndarray = column.flatten().to_numpy()
    return values.reshape(len(table), -1)


def _optional(table: pa.Table, column: str) -> np.ndarray | None:
    return table[column].to_numpy() if column in table.column_names else None
