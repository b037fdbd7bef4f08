"""The worker of an isolated model: load a version as it will be served and answer requests.

Run as a script, by its path. It imports nothing of the project: a version must work where the project is not installed.
Requests and replies are JSON lines on a separate channel; what libraries print goes to standard error.
"""

import argparse
import functools
import importlib.abc
import importlib.machinery
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, TextIO


class ImportBlocker(importlib.abc.MetaPathFinder):
    """Makes packages impossible to import, whether or not they are installed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Refuse a blocked package and everything in it."""
        if name.partition(".")[0] in self._names:
            raise ImportError(f"{name} is not available where models are served; a version must work without it")
        return None


class LoadedVersion:
    """A loaded version. Each public method answers a request of the same name."""

    def __init__(self, folder: str) -> None:
        import mlflow.pyfunc

        self._model = mlflow.pyfunc.load_model(folder)

    def predict_example(self, _: Any) -> dict[str, Any]:
        """Predict the version's own input example."""
        example = self._model.input_example
        if example is None:
            raise ValueError("the version has no input example")
        return {"rows": len(self._model.predict(example))}

    def predict(self, texts: list[str]) -> dict[str, Any]:
        """Return the labels and each text's probabilities in the same order."""
        rows = list(self._model.predict(texts)["probabilities"])
        labels = list(rows[0]) if rows else []
        return {"labels": labels, "probabilities": [[row[label] for label in labels] for row in rows]}

    def median_ms(self, texts: list[str]) -> dict[str, Any]:
        """Return the median time of one text, in milliseconds."""
        self._model.predict(texts[:1])
        milliseconds = []
        for text in texts:
            start = time.perf_counter()
            self._model.predict([text])
            milliseconds.append(1000 * (time.perf_counter() - start))
        return {"median_ms": statistics.median(milliseconds)}


def main() -> None:
    """Load the version, then answer requests until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", help="an MLflow model")
    parser.add_argument("--block", nargs="*", default=[], help="packages that must not be importable")
    arguments = parser.parse_args()
    channel = _message_channel()
    sys.meta_path.insert(0, ImportBlocker(arguments.block))
    loaded: list[LoadedVersion] = []

    def load() -> dict[str, Any]:
        loaded.append(LoadedVersion(arguments.folder))
        return {"ready": True}

    _reply(channel, load)
    for line in sys.stdin if loaded else ():
        request = json.loads(line)
        _reply(channel, functools.partial(getattr(loaded[0], request["method"]), request["texts"]))


def _message_channel() -> TextIO:
    """Reserve standard output for messages: whatever is printed goes to standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def _reply(channel: TextIO, work: Callable[[], dict[str, Any]]) -> None:
    try:
        message = work()
    # Whatever goes wrong in a version's own code is a reply here and does not end the process.
    except BaseException as error:
        lines = str(error).strip().splitlines()
        message = {"error": f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__}
    channel.write(json.dumps(message) + "\n")
    channel.flush()


if __name__ == "__main__":
    main()
