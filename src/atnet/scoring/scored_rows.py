"""The columns of scored and rejected rows, named as in the service's prediction log."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

EXPLANATION = pa.list_(
    pa.struct([("word", pa.string()), ("start", pa.int32()), ("end", pa.int32()), ("contribution", pa.float64())])
)
"""Words with the largest contributions: character positions in the text, logits for the label against the others."""
COLUMNS = (
    ("id", pa.string()),
    ("label", pa.string()),
    ("score", pa.float64()),
    ("probabilities", pa.map_(pa.string(), pa.float64())),
    ("version", pa.int64()),
    ("model_sha256", pa.string()),
    ("row", pa.int64()),
    ("time", pa.timestamp("us", "UTC")),
    ("text_sha256", pa.string()),
    ("text", pa.string()),
    ("tokens", pa.int32()),
    ("unknown_word_share", pa.float64()),
)
REJECTED = pa.schema([("row", pa.int64()), ("id", pa.string()), ("text", pa.string()), ("reasons", pa.string())])
"""`reasons` lists the names of the checks that failed, separated by "; "."""


def scored_schema(*, explained: bool) -> pa.Schema:
    """Return the schema of the output."""
    return pa.schema([*COLUMNS, *([("explanation", EXPLANATION)] if explained else [])])


def worker_schema(*, explained: bool) -> pa.Schema:
    """Return the schema of what a worker sends: the output's columns and the reasons of rejected rows."""
    return scored_schema(explained=explained).append(pa.field("reasons", pa.string()))


def label_column(labels: Sequence[str], probabilities: np.ndarray) -> pa.Array:
    """Return the most probable label of each row of (N, C) probabilities."""
    return pa.array(labels, pa.string()).take(pa.array(probabilities.argmax(axis=1)))


def probability_column(labels: Sequence[str], probabilities: np.ndarray) -> pa.MapArray:
    """Return (N, C) probabilities as maps from label to probability."""
    rows, classes = probabilities.shape
    offsets = pa.array(np.arange(0, rows * classes + 1, classes), pa.int32())
    keys = pa.array(labels, pa.string()).take(pa.array(np.tile(np.arange(classes), rows)))
    return pa.MapArray.from_arrays(offsets, keys, pa.array(probabilities.ravel()))


def strongest_words(explanation: Any, count: int) -> list[dict[str, Any]]:
    """Return the words of an `Explanation` with the largest contributions, the largest first."""
    order = np.argsort(-np.abs(np.array(explanation.contributions)), kind="stable")[:count].tolist()
    return [
        {
            "word": explanation.tokens[position],
            "start": explanation.spans[position][0],
            "end": explanation.spans[position][1],
            "contribution": explanation.contributions[position],
        }
        for position in order
    ]


def scatter(values: pa.Array, is_scored: np.ndarray) -> pa.Array:
    """Return the values at the positions where `is_scored` (N,) is true, and nulls at the others."""
    if is_scored.all():
        return values
    positions = np.cumsum(is_scored) - 1
    return values.take(pa.array(positions, pa.int64(), mask=~is_scored))
