"""Predict a split with the baselines, in batches, and compute their metrics.

Letters in array names: N texts, C classes.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from atnet.baselines.baselines import MAJORITY, Baselines, label_metrics
from atnet.baselines.sampling import SampledSplit
from atnet.evaluation.calibration import binned_reliability
from atnet.evaluation.metrics import Floats, Ints, log_losses
from atnet.schema import ID, LABEL, TEXT

CALIBRATION_BINS = 15

Scores = dict[str, dict[str, float]]
"""Baseline -> metric -> value."""


class SplitPredictor:
    """Predicts the batches of a split and keeps what the metrics need: some 100 bytes for each row."""

    def __init__(self, baselines: Baselines) -> None:
        self._baselines = baselines
        self._labels = pd.Index(baselines.labels)
        self._actual: list[Ints] = []
        self._predicted: dict[str, list[Ints]] = defaultdict(list)
        self._soft: dict[str, list[Floats]] = defaultdict(list)

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the id and the labels that each baseline predicts for the next rows."""
        texts = table[TEXT].tolist()
        actual_N = self._labels.get_indexer(pd.Index(table[LABEL]))
        self._actual.append(actual_N)
        predictions = self._baselines.predict(texts)
        for name, labels in predictions.items():
            self._predicted[name].append(self._labels.get_indexer(pd.Index(labels)))
        known_N = actual_N >= 0
        for name, probabilities_NC in self._baselines.probabilities(texts).items():
            self._soft[name].append(_soft_values(actual_N[known_N], probabilities_NC[known_N]))
        return pd.DataFrame({ID: table[ID], **predictions})

    def scores(self) -> Scores:
        """Compute the metrics of each baseline over all rows so far, for the linear models with log-loss.

        The log-loss and the calibration error cover the rows whose label occurs in train.
        """
        actual_N = np.concatenate(self._actual)
        scores = {
            name: label_metrics(actual_N, np.concatenate(predicted), len(self._labels))
            for name, predicted in self._predicted.items()
        }
        if (actual_N >= 0).any():
            for name, parts in self._soft.items():
                loss_N, confidence_N, right_N = np.concatenate(parts, axis=1)
                calibration = binned_reliability(confidence_N, right_N > 0, CALIBRATION_BINS)
                scores[name] |= {"log_loss": float(loss_N.mean()), "calibration_error": calibration.expected_error}
        return scores


def report(
    baselines: Baselines, validation: Scores, test: Scores, samples: Mapping[str, SampledSplit]
) -> dict[str, Any]:
    """Return the metrics of both splits with the chosen settings.

    Args:
        baselines: the fitted baselines.
        validation: metrics of the validation rows.
        test: metrics of the test rows.
        samples: by split, what the baselines were fitted and tuned on.
    """
    sampled = {name: {"rows": len(split.table), "of": split.rows} for name, split in samples.items() if split.is_sample}
    return {
        "validation": validation,
        "test": test,
        "chosen": {
            MAJORITY: {"label": baselines.labels[baselines.majority]},
            **{name: {"C": model.regularization} for name, model in baselines.models.items()},
            "features": len(baselines.counter.word_ngrams.vocabulary_),
            "min_document_frequency": baselines.counter.word_ngrams.min_df,
        },
        **({"sampled": sampled} if sampled else {}),
    }


def summarize(metrics: Mapping[str, Any]) -> str:
    """Return the test accuracy of each baseline in one line, and what it was fitted on if that is a sample."""
    accuracies = ", ".join(f"{name} {scores['accuracy']:.1%}" for name, scores in metrics["test"].items())
    sampled = metrics.get("sampled", {}).get("train")
    fitted = "" if sampled is None else f"; fitted on {sampled['rows']:,} of {sampled['of']:,} texts"
    return f"test accuracy: {accuracies}{fitted}"


def _soft_values(actual_N: Ints, probabilities_NC: Floats) -> Floats:
    """Return each row's log-loss, confidence and whether it is right, (3, N)."""
    right_N = probabilities_NC.argmax(axis=1) == actual_N
    return np.stack([log_losses(actual_N, probabilities_NC), probabilities_NC.max(axis=1), right_N.astype(np.float64)])
