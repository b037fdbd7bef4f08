"""Encode texts as token ids and collect the encoded rows of a split on disk.

Letters in array names: N texts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from tokenizers import Tokenizer

from atnet.schema import HARD_LABEL, ID, LABEL, RATING, TEXT, TEXT_HASH, WEIGHT, teacher_column, teacher_labels
from atnet.text.spilled_lists import SpilledLists
from atnet.text.word_splitting import UNKNOWN_ID

BATCH_TEXTS = 10_000
"""Texts encoded at once."""
TEACHER = "teacher"
"""Column of the encoded rows: the teacher's class probabilities, NaN for a row without."""
ENCODED_COLUMNS = (ID, TEXT, LABEL, TEXT_HASH, RATING, WEIGHT, HARD_LABEL)


def encoded_columns(columns: Iterable[str]) -> list[str]:
    """Return those of a split's columns that its encoded rows are made from."""
    present = list(columns)
    teacher = map(teacher_column, teacher_labels(present))
    return [*(name for name in ENCODED_COLUMNS if name in present), *teacher]


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> pa.ListArray:
    """Encode texts as lists of int32 ids, as inference does; a text without tokens becomes one unknown token."""
    batches = (texts[start : start + BATCH_TEXTS] for start in range(0, len(texts), BATCH_TEXTS))
    return pa.concat_arrays([_encode_batch(tokenizer, batch) for batch in batches] or [_lists([])])


@dataclass(frozen=True, slots=True)
class EncodedBatch:
    """The rows of a batch with their token ids before truncation."""

    tokens: NDArray[np.int32]
    """Token ids of all texts, concatenated."""
    lengths: NDArray[np.int32]
    strings: dict[str, pa.StringArray]
    labels: pa.Array
    optional: dict[str, pa.Array]
    """Columns that not every split has."""
    unseen_labels: set[str]
    """Labels that are not among the known ones."""


def encode_rows(batch: pd.DataFrame, *, tokenizer: Tokenizer, labels: Sequence[str]) -> EncodedBatch:
    """Encode the rows of a batch."""
    tokens = encode(tokenizer, batch[TEXT].tolist())
    class_ids = pd.Index(labels).get_indexer(pd.Index(batch[LABEL]))
    return EncodedBatch(
        tokens=tokens.flatten().to_numpy(),
        lengths=np.diff(tokens.offsets.to_numpy()),
        strings={name: pa.array(batch[name].tolist(), pa.string()) for name in (ID, TEXT_HASH)},
        labels=pa.array(class_ids, pa.int32()),
        optional=_optional_columns(batch, labels),
        unseen_labels=set(batch[LABEL][class_ids < 0]),
    )


def _optional_columns(batch: pd.DataFrame, labels: Sequence[str]) -> dict[str, pa.Array]:
    columns = {
        name: pa.array(batch[name], pa.float32(), from_pandas=True) for name in (RATING, WEIGHT) if name in batch
    }
    if HARD_LABEL in batch:
        probability_NC = batch[[teacher_column(label) for label in labels]].to_numpy(np.float32)
        columns[HARD_LABEL] = pa.array(batch[HARD_LABEL], pa.bool_())
        columns[TEACHER] = pa.FixedSizeListArray.from_arrays(pa.array(probability_NC.ravel()), len(labels))
    return columns


class EncodedRows:
    """The encoded rows of a split, on disk."""

    def __init__(self, folder: Path) -> None:
        """Start to write to a new folder."""
        folder.mkdir()
        self._tokens = SpilledLists(folder / "tokens", np.int32)
        self._strings = {name: SpilledLists(folder / name, np.uint8) for name in (ID, TEXT_HASH)}
        self._labels: list[pa.Array] = []
        self._optional: dict[str, list[pa.Array]] = {}
        self.unknown_tokens = 0
        self.unseen_labels: set[str] = set()

    @classmethod
    def collect(cls, batches: Iterable[EncodedBatch], folder: Path) -> "EncodedRows":
        """Write the batches of a split."""
        rows = cls(folder)
        for batch in batches:
            rows.add(batch)
        for spilled in (rows._tokens, *rows._strings.values()):
            spilled.close()
        return rows

    def add(self, batch: EncodedBatch) -> None:
        """Write a batch."""
        self.unknown_tokens += int(np.count_nonzero(batch.tokens == UNKNOWN_ID))
        self.unseen_labels |= batch.unseen_labels
        self._tokens.append(batch.tokens, batch.lengths)
        for name, spilled in self._strings.items():
            spilled.append_strings(batch.strings[name])
        self._labels.append(batch.labels)
        for name, values in batch.optional.items():
            self._optional.setdefault(name, []).append(values)

    @property
    def lengths_N(self) -> NDArray[np.int64]:
        """Return the tokens of each text."""
        return self._tokens.lengths_N.astype(np.int64)

    def table(self, max_length: int) -> pa.Table:
        """Return the rows, their tokens cut to the maximum length; long columns are mapped from the folder."""
        return pa.table(
            {
                ID: self._strings[ID].string_array(),
                "tokens": self._tokens.truncated(max_length).list_array(),
                LABEL: pa.concat_arrays(self._labels),
                TEXT_HASH: self._strings[TEXT_HASH].string_array(),
                **{name: pa.concat_arrays(arrays) for name, arrays in self._optional.items()},
            }
        )


def _encode_batch(tokenizer: Tokenizer, texts: Sequence[str]) -> pa.ListArray:
    return _lists([encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)])


def _lists(rows: list[list[int]]) -> pa.ListArray:
    non_empty = [row or [UNKNOWN_ID] for row in rows]
    offsets = np.cumsum([0, *map(len, non_empty)], dtype=np.int32)
    values = np.fromiter(chain.from_iterable(non_empty), dtype=np.int32, count=offsets[-1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))
