"""A version in memory: its files verified, its own code loaded, its predictions compared with those at publication."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atnet.errors import ModelError
from atnet.model_verification import verify_copy
from atnet.published_model import MODEL_FOLDER, load_inference
from atnet.self_check import FIXED_TEXTS, find_deviation, read_self_check
from atnet.serving.model_copies import DAMAGED_COPY, FILES, read_manifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version that is ready to predict."""

    version: int
    sha256: str
    labels: tuple[str, ...]
    predictor: Any
    """A `Predictor` of the version's own inference code."""
    _softmax: Callable[[np.ndarray], np.ndarray]

    @property
    def min_confidence(self) -> float | None:
        """The score below which the model abstains; None for a model that answers every text."""
        value: float | None = getattr(self.predictor, "min_confidence", None)
        return value

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, at least one."""
        ids: list[list[int]] = self.predictor.encode(texts)
        return ids

    def probabilities(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Compute the calibrated probabilities (N, C) of encoded texts, as `Predictor.predict` does."""
        return self._softmax(self.predictor.logits(ids) / self.predictor.temperature)

    def explain(self, text: str) -> Any:
        """Return the `Explanation` of one text."""
        return self.predictor.explain([text])[0]


def load_model(copy: Path) -> LoadedModel:
    """Verify a copy, load it in this process and self-check it.

    Raises:
        ModelError: if a file is damaged, the model cannot be loaded, or its predictions are not those at publication.
    """
    version = read_manifest(copy)
    verify_copy(version, copy / FILES, advice=DAMAGED_COPY)
    try:
        inference = load_inference(copy / FILES)
        # Without the memory arena: it would keep the memory of the largest batch permanently.
        predictor = inference.Predictor.load(copy / FILES / MODEL_FOLDER, threads=1, memory_arena=False)
        _self_check(version.number, copy / FILES / MODEL_FOLDER, predictor)
    # The version's own code may raise anything; whatever it is, the version cannot be used.
    except Exception as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"Version {version.number} cannot be loaded ({_first_line(error)}).") from error
    return LoadedModel(
        version=version.number,
        sha256=version.model_sha256,
        labels=tuple(predictor.labels),
        predictor=predictor,
        _softmax=inference.softmax,
    )


def _self_check(version: int, model_folder: Path, predictor: Any) -> None:
    stored = read_self_check(model_folder)
    if stored is None:
        logger.warning(
            "Version %d was published without self-check examples; only the sum of its probabilities is checked. "
            "`atnet publish` and `atnet release` of a new model add them.",
            version,
        )
        sums = predictor.predict(FIXED_TEXTS).probabilities.sum(axis=1)
        deviation = None if np.allclose(sums, 1) else "its probabilities do not sum to 1"
    else:
        deviation = find_deviation(predictor, stored)
    if deviation is not None:
        raise ModelError(f"Version {version} failed its self-check: {deviation}.")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
