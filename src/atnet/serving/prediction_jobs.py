"""The texts of a request on their way through a worker, and the predictions that come back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from atnet.serving.loaded_model import LoadedModel


@dataclass(slots=True, eq=False)
class PredictionJob:
    """The texts of one request, from the queue to their predictions."""

    texts: Sequence[str]
    explain: bool
    done: "asyncio.Future[None]"
    """Set in the event loop when every text has its prediction, or with the error that prevents it."""
    request_id: str
    received: float
    """This and `queued`: seconds of time.perf_counter()."""
    queued: float = 0.0
    model: LoadedModel | None = None
    """The version in use when the job was queued. It predicts all of the job: one request never mixes two versions."""
    taken: int = 0
    predicted: int = 0
    abandoned: bool = False
    """The client has left, or the time is up: texts that are not computed yet never will be."""
    predictions: list[dict[str, Any] | None] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ScoredText:
    """One predicted text, for the prediction log and the shadow."""

    job: PredictionJob
    row: int
    """Position of the text in the job."""
    label: str
    score: float
    probabilities: list[float]
    tokens: int
    unknown_share: float

    @property
    def text(self) -> str:
        """The text itself."""
        return self.job.texts[self.row]


class InferenceError(RuntimeError):
    """The model raised an error on a batch."""


def abstention(score: float, min_confidence: float | None) -> dict[str, bool]:
    """Return whether the model abstains, as it is sent; nothing for a model that answers every text."""
    return {} if min_confidence is None else {"abstain": score < min_confidence}


def explanation_json(explanation: Any) -> dict[str, Any]:
    """Return an explanation as it is sent: the prediction, and each word with its position and its contribution."""
    words = zip(explanation.tokens, explanation.spans, explanation.contributions, strict=True)
    return {
        "label": explanation.label,
        "score": explanation.score,
        "probabilities": explanation.probabilities,
        "words": [
            {"word": word, "start": start, "end": end, "contribution": contribution}
            for word, (start, end), contribution in words
        ],
        "base": explanation.base,
    }
