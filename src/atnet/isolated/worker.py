"""Load a version as it will be served and answer requests; run as a script, by its path.

Nothing of the project may be imported here: a version must answer where there is none of it. Requests come in as lines
of JSON and are answered by lines of JSON, on a channel of their own: what libraries print goes to standard error.
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
        """Refuse a forbidden package and everything in it."""
        if name.partition(".")[0] in self._names:
            raise ImportError(f"{name} is not there where models are served; a version must do without it")
        return None


class LoadedVersion:
    """A loaded version."""

    def __init__(self, address: str) -> None:
        import mlflow.pyfunc

        self._model = mlflow.pyfunc.load_model(address)

    def example(self, _: Any) -> dict[str, Any]:
        """Answer the version's own input example."""
        example = self._model.input_example
        if example is None:
            raise ValueError("the version has no input example")
        return {"rows": len(self._model.predict(example))}

    def answer(self, texts: list[str]) -> dict[str, Any]:
        """Give the labels and each text's probabilities in their order."""
        rows = list(self._model.predict(texts)["probabilities"])
        labels = list(rows[0]) if rows else []
        return {"labels": labels, "probabilities": [[row[label] for label in labels] for row in rows]}

    def time(self, texts: list[str]) -> dict[str, Any]:
        """Give the median time that one text takes, in milliseconds."""
        self._model.predict(texts[:1])
        taken = []
        for text in texts:
            start = time.perf_counter()
            self._model.predict([text])
            taken.append(1000 * (time.perf_counter() - start))
        return {"median_ms": statistics.median(taken)}


def main() -> None:
    """Load the version, then answer until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address", help="models:/... or a folder")
    parser.add_argument("--forbid", nargs="*", default=[], help="packages that must not be importable")
    arguments = parser.parse_args()
    channel = _own_channel()
    sys.meta_path.insert(0, ImportBlocker(arguments.forbid))
    loaded: list[LoadedVersion] = []

    def load() -> dict[str, Any]:
        loaded.append(LoadedVersion(arguments.address))
        return {"ready": True}

    _say(channel, load)
    for line in sys.stdin if loaded else ():
        request = json.loads(line)
        _say(channel, functools.partial(getattr(loaded[0], request["do"]), request["texts"]))


def _own_channel() -> TextIO:
    """Keep standard output for the answers; all that is printed goes to standard error."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def _say(channel: TextIO, work: Callable[[], dict[str, Any]]) -> None:
    try:
        said = work()
    # Whatever goes wrong in a version's own code is an answer here, not an end.
    except BaseException as error:
        lines = str(error).strip().splitlines()
        said = {"error": f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__}
    channel.write(json.dumps(said) + "\n")
    channel.flush()


if __name__ == "__main__":
    main()
