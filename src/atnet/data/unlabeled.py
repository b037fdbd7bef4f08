"""Read unlabeled texts in batches, without those that are also in the validation or the test split."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from atnet.config import ColumnsConfig, DataConfig, SplitConfig
from atnet.data.near_duplicates import NearDuplicateIndex
from atnet.data.reader import stream_raw_columns
from atnet.errors import DataContractError, DataFileError
from atnet.schema import normalize_text

BATCH_TEXTS = 100_000
"""Texts that are compared with the held-out ones at once."""


@dataclass(slots=True)
class UnlabeledTexts:
    """The texts of a file; the counts are complete when `batches` has been read to its end."""

    path: Path
    data: DataConfig
    """How the labeled texts are read; the unlabeled ones have the same text column, encoding and separator."""
    held_out: Sequence[str]
    """Texts of the validation and the test split."""
    split: SplitConfig
    """When two texts are near duplicates."""
    read: int = field(default=0, init=False)
    """Texts read so far, blank ones excluded."""
    excluded: int = field(default=0, init=False)
    """Those of them that are duplicates or near duplicates of held-out texts."""

    def batches(self) -> Iterator[list[str]]:
        """Yield the texts that are in neither split.

        Raises:
            DataFileError: if the file is missing, empty, damaged or of another format.
            DataContractError: if it has no text column, or no text.
        """
        held_out = sorted({normalize_text(text) for text in self.held_out})
        for texts in _batched(read_texts(self.path, self.data)):
            keep = ~_is_duplicate(texts, held_out, self.split)
            self.read += len(texts)
            self.excluded += len(texts) - int(keep.sum())
            yield [text for text, kept in zip(texts, keep.tolist(), strict=True) if kept]
        if not self.read:
            raise DataContractError(f"vectors.unlabeled: {self.path} has no text. Set another file, or data/none.")

    def summary(self) -> str:
        """Return how many texts were read and excluded."""
        return (
            f"{self.read:,} unlabeled texts counted too, {self.excluded:,} of them excluded as duplicates or near "
            "duplicates of validation or test texts"
        )


def read_texts(path: Path, data: DataConfig) -> Iterator[str]:
    """Read the text column of a file, without blank texts.

    Raises:
        DataFileError: if the file is missing, empty, damaged or of another format.
        DataContractError: if it has no text column.
    """
    if not path.is_file():
        raise DataFileError(
            f"vectors.unlabeled: {path} is missing. Put your texts there, or correct it in params.yaml."
        )
    nothing = dict.fromkeys(ColumnsConfig.model_fields, None)
    columns = ColumnsConfig.model_validate({**nothing, "text": data.columns.text, "slices": []})
    only_text = data.model_copy(update={"columns": columns, "format": "auto"})
    for batch in stream_raw_columns(path, only_text):
        yield from (text for text in batch.column(data.columns.text).to_pylist() if text and text.strip())


def _batched(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == BATCH_TEXTS:
            yield batch
            batch = []
    if batch:
        yield batch


def _is_duplicate(texts: Sequence[str], held_out: Sequence[str], config: SplitConfig) -> np.ndarray:
    """Return for each text whether it equals a held-out text or is a near duplicate of one, directly or not."""
    names, places = np.unique(np.array([normalize_text(text) for text in texts], dtype=object), return_inverse=True)
    distinct = sorted(set(names) - set(held_out))
    is_duplicate = {name: False for name in distinct}
    if config.near_duplicates:
        near = _leaders([*held_out, *distinct], config)[len(held_out) :] < len(held_out)
        is_duplicate = dict(zip(distinct, near.tolist(), strict=True))
    return np.array([is_duplicate.get(name, True) for name in names], dtype=bool)[places]


def _leaders(texts: Sequence[str], config: SplitConfig) -> np.ndarray:
    """Return for each text the lowest position in its group of near duplicates."""
    similarity, permutations = config.near_duplicate_similarity, config.minhash_permutations
    with (
        TemporaryDirectory() as folder,
        NearDuplicateIndex(
            Path(folder), texts=len(texts), similarity=similarity, minhash_permutations=permutations
        ) as index,
    ):
        index.add(texts, np.arange(len(texts)))
        return index.leaders()
