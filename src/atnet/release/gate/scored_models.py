"""The gate's input: the predictions of challenger and champion, and everything else collected about them.

Letters in array names: N rows, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from atnet.evaluation.selective import RejectOption
from atnet.release.behavior.runner import BehaviorResult
from atnet.release.gate.result import CheckResult
from atnet.text_hashes import TextHashes


@dataclass(frozen=True, slots=True)
class ModelPredictions:
    """What one model predicted for the rows of a table."""

    model: str
    """SHA-256 of the model files."""
    labels: tuple[str, ...]
    ids: Sequence[str]
    """(N,) ids of the rows, in the table's order."""
    probabilities: np.ndarray
    """(N, C) calibrated; columns in the order of `labels`."""


@dataclass(frozen=True, slots=True)
class ScoredModel:
    """One version with its predictions on the test rows."""

    predictions: ModelPredictions
    train_hashes: TextHashes
    """Of the texts the model was trained on."""
    latency_ms: float | None
    """Median time per text, measured in a separate process; None if it was not measured."""
    reject_option: RejectOption | None = None
    """None: the model answers every text."""


@dataclass(frozen=True, slots=True)
class GoldenPredictions:
    """The golden set with both models' predictions."""

    table: pd.DataFrame
    """Columns id, text, label; `text_hash` if known."""
    challenger: ModelPredictions
    champion: ModelPredictions | None


@dataclass(frozen=True, slots=True)
class GateInputs:
    """Everything that the gate's checks need."""

    test: pd.DataFrame
    """The challenger's test split (canonical table)."""
    challenger: ScoredModel
    champion: ScoredModel | None
    baselines: Mapping[str, Sequence[str]]
    """Baseline -> predicted labels, in the order of `test`."""
    behavior: BehaviorResult
    """Behavior suite results of the challenger."""
    size_bytes: int
    """Total size of the challenger's files."""
    servable: CheckResult
    """Whether the challenger loads and predicts in a fresh process."""
    golden: GoldenPredictions | None = None
