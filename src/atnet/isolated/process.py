"""Ask a version in a process of its own."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from atnet.errors import ModelError

CHILD = Path(__file__).with_name("child.py")
NOT_WHERE_SERVED = ("tensorflow", "keras", "atnet", "pipelines")
"""What a version must do without."""
START_SECONDS = 180
TEXTS_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class IsolatedModel:
    """A version that answers."""

    _process: "subprocess.Popen[str]"
    _log: TextIO

    def example(self) -> int:
        """Let the version answer its own example; give the rows it answered.

        Raises:
            ModelError: with the version's own words.
        """
        return int(self._ask("example", [])["rows"])

    def answer(self, texts: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
        """Give the labels and the (N, C) calibrated probabilities.

        Raises:
            ModelError: with the version's own words.
        """
        parts = [
            self._ask("answer", texts[start : start + TEXTS_AT_ONCE])
            for start in range(0, max(len(texts), 1), TEXTS_AT_ONCE)
        ]
        probabilities = np.concatenate([np.array(part["probabilities"], np.float64) for part in parts])
        return tuple(parts[0]["labels"]), probabilities

    def median_ms(self, texts: Sequence[str]) -> float:
        """Time single texts.

        Raises:
            ModelError: with the version's own words.
        """
        return float(self._ask("time", texts)["median_ms"])

    def _ask(self, what: str, texts: Sequence[str]) -> dict[str, Any]:
        assert self._process.stdin is not None
        # A process that has died shows in what it does not answer.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"do": what, "texts": list(texts)}) + "\n")
            self._process.stdin.flush()
        return _answer(self._process, self._log)


@contextlib.contextmanager
def open_isolated(
    address: str, store_uri: str, *, python: str | None = None, forbid: bool = True
) -> Iterator[IsolatedModel]:
    """Load a version in a fresh process that knows nothing of the project.

    Args:
        address: `models:/name/version`, or the folder of an MLflow model.
        store_uri: the store that knows the address.
        python: another environment's interpreter.
        forbid: make TensorFlow, Keras and the project impossible to import.

    Raises:
        ModelError: with the version's own words, if it cannot be loaded.
    """
    # Isolated: neither the current folder nor PYTHONPATH may lend the version any code.
    command = [python or sys.executable, "-I", str(CHILD), address]
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": store_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            [*command, "--forbid", *NOT_WHERE_SERVED] if forbid else command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
        )
        slow = threading.Timer(START_SECONDS, process.kill)
        slow.start()
        try:
            _answer(process, log)
            slow.cancel()
            yield IsolatedModel(process, log)
        finally:
            slow.cancel()
            _end(process)


def _answer(process: "subprocess.Popen[str]", log: TextIO) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise ModelError(f"the version's process ended without an answer ({_last_line(log) or process.wait()})")
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        raise ModelError(str(said["error"]))
    return said


def _end(process: "subprocess.Popen[str]") -> None:
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(BrokenPipeError):
            if stream is not None:
                stream.close()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(log: TextIO) -> str:
    log.seek(0)
    lines = log.read().strip().splitlines()
    return lines[-1] if lines else ""
