"""The parent's side of an isolated model: start the worker and send it requests."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from atnet.environment import reduced_environment
from atnet.errors import ModelError, ProcessInterrupted
from atnet.subprocesses import JsonLineProcess, is_resource_error

WORKER = Path(__file__).with_name("worker.py")
BLOCKED_IMPORTS = ("tensorflow", "keras", "atnet", "pipelines")
"""Packages that are absent where models are served."""
NAME = "The process of the model version"
START_SECONDS = 180
"""How long a version may take to load."""
REQUEST_SECONDS = 1800
"""How long it may take to answer one request."""
BATCH_TEXTS = 5000
"""Texts of a request, at most."""
BATCH_CHARACTERS = 1 << 24
"""Characters of a request, at most; a single text may be longer."""


class ClassProbabilities(NamedTuple):
    """What a version predicts. Shapes: N texts, C labels."""

    labels: tuple[str, ...]
    probabilities: np.ndarray
    """(N, C), calibrated, in the order of the labels."""


@dataclass(frozen=True, slots=True)
class IsolatedModel:
    """A loaded version in a separate process."""

    _process: JsonLineProcess

    def predict_example(self) -> int:
        """Predict the version's own input example and return its number of rows.

        Raises:
            ModelError: with the version's own message.
            ProcessInterrupted: if the process was killed or the machine ran out of memory.
        """
        return int(self._request("predict_example")["rows"])

    def predict(self, texts: Sequence[str]) -> ClassProbabilities:
        """Predict texts.

        Raises:
            ModelError: with the version's own message.
            ProcessInterrupted: if the process was killed or the machine ran out of memory.
        """
        batches = [self._predict_batch(batch) for batch in _batches(texts)]
        return ClassProbabilities(batches[0].labels, np.concatenate([batch.probabilities for batch in batches]))

    def median_ms(self, texts: Sequence[str]) -> float:
        """Return the median time of one text, each sent alone, in milliseconds.

        Raises:
            ModelError: with the version's own message.
            ProcessInterrupted: if the process was killed or the machine ran out of memory.
        """
        return float(self._request("median_ms", texts)["median_ms"])

    def _predict_batch(self, texts: Sequence[str]) -> ClassProbabilities:
        # The reply's lists take several times the memory of the array, and end here.
        reply = self._request("predict", texts)
        return ClassProbabilities(tuple(reply["labels"]), np.array(reply["probabilities"], np.float64))

    def _request(self, method: str, texts: Sequence[str] = ()) -> dict[str, Any]:
        self._process.send({"method": method, "texts": list(texts)})
        return _reply(self._process, REQUEST_SECONDS)


@contextlib.contextmanager
def open_isolated(
    folder: Path | str, *, python: str | None = None, block_imports: bool = True
) -> Iterator[IsolatedModel]:
    """Load a version in a new process that has neither the project's code nor this process's credentials.

    The worker's environment is reduced to an allow-list, and its home and current folders are empty temporary ones.

    Args:
        folder: an MLflow model on this machine's disk.
        python: interpreter of another environment; by default this one's.
        block_imports: make TensorFlow, Keras and the project impossible to import.

    Raises:
        ModelError: with the version's own message, if it cannot be loaded.
        ProcessInterrupted: if it does not load in time, or if the system killed its process.
    """
    # -I: neither the current folder nor PYTHONPATH may provide code.
    command = [python or sys.executable, "-I", str(WORKER), str(Path(folder).absolute())]
    if block_imports:
        command += ["--block", *BLOCKED_IMPORTS]
    with tempfile.TemporaryDirectory(prefix="atnet-isolated-") as home:
        process = JsonLineProcess(command, environment=_environment(home), name=NAME, folder=home)
        try:
            _reply(process, START_SECONDS)
            yield IsolatedModel(process)
        finally:
            process.close()


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Divide texts into requests, at least one."""
    start = characters = 0
    for end, text in enumerate(texts):
        if end - start == BATCH_TEXTS or (end > start and characters + len(text) > BATCH_CHARACTERS):
            yield texts[start:end]
            start, characters = end, 0
        characters += len(text)
    yield texts[start:]


def _environment(home: str) -> dict[str, str]:
    return reduced_environment(
        {
            **dict.fromkeys(("HOME", "USERPROFILE"), home),
            # The model is a folder: no store is needed, and none of the user's must be opened.
            "MLFLOW_TRACKING_URI": f"sqlite:///{home}/unused.db",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
    )


def _reply(process: JsonLineProcess, timeout_seconds: float) -> dict[str, Any]:
    message = process.receive(timeout_seconds)
    if message is None:
        raise ModelError(f"the version's process ended without an answer ({process.end_reason()})")
    if "error" in message:
        reason = str(message["error"])
        if is_resource_error(reason):
            raise ProcessInterrupted(
                f"{NAME} ran out of memory or disk space ({reason}). Free some and run the command again."
            )
        raise ModelError(reason)
    return message
