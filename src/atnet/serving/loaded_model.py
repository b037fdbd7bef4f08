"""A model version in memory: its files verified, its code loaded, its answers compared with those at publication."""

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atnet.errors import ModelError
from atnet.published_model import MODEL_FOLDER, load_inference
from atnet.self_check import FIXED_TEXTS, find_difference, read_self_check
from atnet.serving.model_folder import Manifest, read_manifest, verify_files

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version that is ready to answer."""

    version: int
    sha256: str
    labels: tuple[str, ...]
    predictor: Any
    """A `Predictor` of the version's own inference code."""
    _softmax: Callable[[np.ndarray], np.ndarray]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, at least one."""
        ids: list[list[int]] = self.predictor.encode(texts)
        return ids

    def probabilities(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Return the calibrated probabilities (N, C) of encoded texts, as `Predictor.predict` does."""
        return self._softmax(self.predictor.logits(ids) / self.predictor.temperature)

    def explain(self, text: str) -> Any:
        """Return the `Explanation` of one text."""
        return self.predictor.explain([text])[0]


def load_model(folder: Path) -> LoadedModel:
    """Load a downloaded version in this process, on one thread, and self-check it.

    Raises:
        ModelError: if a file is damaged, the model cannot be loaded or its answers are not those at publication.
    """
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    try:
        inference = load_inference(folder)
        predictor = inference.Predictor.load(folder / MODEL_FOLDER, **_options(inference.Predictor))
        _self_check(folder, manifest, predictor)
    # The version's own code may raise anything; whatever it is speaks against the version.
    except Exception as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"Version {manifest.version} cannot be loaded ({_first_line(error)}).") from error
    return LoadedModel(
        version=manifest.version,
        sha256=manifest.model_sha256,
        labels=tuple(predictor.labels),
        predictor=predictor,
        _softmax=inference.softmax,
    )


def _options(predictor: Any) -> dict[str, Any]:
    """One thread: ONNX Runtime would size its pool by the host. No arena: it would keep the largest batch's memory."""
    options = {"threads": 1, "memory_arena": False}
    known = inspect.signature(predictor.load).parameters
    return {name: value for name, value in options.items() if name in known}


def _self_check(folder: Path, manifest: Manifest, predictor: Any) -> None:
    stored = read_self_check(folder / MODEL_FOLDER)
    if stored is None:
        logger.warning(
            "Version %d was published without self-check examples; it is only checked for answers that are "
            "probabilities. `atnet publish` and `atnet release` of a new model add them.",
            manifest.version,
        )
        rows = predictor.predict(FIXED_TEXTS).probabilities
        difference = None if np.allclose(rows.sum(axis=1), 1) else "its answers are not probabilities"
    else:
        difference = find_difference(predictor, stored)
    if difference is not None:
        raise ModelError(f"Version {manifest.version} failed its self-check: {difference}.")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
