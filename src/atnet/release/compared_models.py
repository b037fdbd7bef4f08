"""Challenger and champion, each loaded in a separate process, predict the test split in batches.

The split is read once for the rows and once for each model: of a text, only a few numbers stay in memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from atnet import files
from atnet.data.repeated_ids import hash_ids
from atnet.evaluation.selective import RejectOption
from atnet.isolated.process import BATCH_TEXTS, IsolatedModel
from atnet.published_model import MODEL_FOLDER
from atnet.registry.artifacts import train_hashes
from atnet.registry.versions import Version
from atnet.release.gate.gate_rows import GateRows
from atnet.release.gate.scored_models import GoldenPredictions, ModelPredictions, ScoredModel, common_labels
from atnet.schema import ID, TEXT
from atnet.storage import read_json
from atnet.table_batches import read_batches
from atnet.text_hashes import TextHashes

TIMED_TEXTS = 100
BATCH_ROWS = BATCH_TEXTS
"""Texts of the test split in memory at a time."""
NO_HASHES = TextHashes.of()


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A version that is loaded in a separate process."""

    version: Version
    process: IsolatedModel
    folder: Path

    def labels(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Return the labels of the model, taken from its prediction of the first text."""
        return self.process.predict(texts[:1]).labels

    def predict(self, tables: Iterable[pd.DataFrame], common: tuple[str, ...]) -> ModelPredictions:
        """Predict consecutive rows, see `ModelPredictions`; at least one table."""
        return ModelPredictions.concatenated([self._predict_table(table, common) for table in tables])

    def reject_option(self) -> RejectOption | None:
        """Read the model's reject option; None if it answers every text."""
        return RejectOption.of_config(read_json(self.folder / MODEL_FOLDER / files.INFERENCE_CONFIG.name))

    def _predict_table(self, table: pd.DataFrame, common: tuple[str, ...]) -> ModelPredictions:
        predicted = self.process.predict(table[TEXT].tolist())
        return ModelPredictions.of(self.version.sha256, predicted, hash_ids(table[ID]), common)


@dataclass(frozen=True, slots=True)
class ComparedModels:
    """The models of a candidate, and the test split on which they are compared."""

    test: Path
    first_texts: Sequence[str]
    """Of the test split."""
    challenger: OpenModel
    champion: OpenModel | None
    labels: tuple[str, ...]
    """Of the challenger."""
    common: tuple[str, ...]
    """Labels that both models have; all labels if there is no champion."""
    champion_hashes: TextHashes
    """Of the texts that the champion was trained on; empty if there is none."""

    @classmethod
    def of(cls, challenger: OpenModel, champion: OpenModel | None, test: Path) -> "ComparedModels":
        """Read the labels of the models, each with a prediction.

        Args:
            challenger, champion: champion may be None.
            test: Parquet file of the test split.
        """
        texts = next(read_batches(test, batch_rows=TIMED_TEXTS))[TEXT].tolist()
        labels = challenger.labels(texts)
        if champion is None:
            return cls(test, texts, challenger, None, labels, labels, NO_HASHES)
        common = common_labels(labels, champion.labels(texts))
        return cls(test, texts, challenger, champion, labels, common, train_hashes(champion.folder))

    def rows(self) -> GateRows:
        """Read the test split."""
        return GateRows.concatenated([GateRows.of(table, self.champion_hashes) for table in self._batches()])

    def score_challenger(self) -> ScoredModel:
        """Predict the test split with the challenger."""
        return self._score(self.challenger, self.challenger.reject_option())

    def score_champion(self) -> ScoredModel | None:
        """Predict the test split with the champion; None if there is none."""
        return self._score(self.champion, None) if self.champion else None

    def predict_golden(self, table: pd.DataFrame) -> GoldenPredictions:
        """Predict the golden set with both models."""
        champion, hashes = self.champion, NO_HASHES
        if champion is not None:
            hashes = self.champion_hashes | train_hashes(self.challenger.folder)
        return GoldenPredictions(
            GateRows.of(table, hashes),
            self.challenger.predict([table], self.common),
            champion.predict([table], self.common) if champion else None,
        )

    def _score(self, model: OpenModel, reject_option: RejectOption | None) -> ScoredModel:
        latency_ms = model.process.median_ms(self.first_texts)
        return ScoredModel(model.predict(self._batches(), self.common), latency_ms, reject_option)

    def _batches(self) -> Iterator[pd.DataFrame]:
        return read_batches(self.test, batch_rows=BATCH_ROWS)
