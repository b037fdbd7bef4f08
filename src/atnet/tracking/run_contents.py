"""What is published of a model: its parts, and the names of its parameters and metrics."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atnet.config import Params

Values = Mapping[str, Any]

LOGGED_SECTIONS = ("train", "tokenize", "split", "validate", "data", "baseline")
"""Sections whose values a model follows from, those a reader asks for first in front. `evaluate` is not one of
them: a model can be judged again otherwise, and MLflow never changes a parameter. It is an artifact instead."""
NAME_LIMIT = 250
"""Characters that MLflow allows in the name of a metric."""


@dataclass(frozen=True, slots=True)
class SplitFile:
    """A split as MLflow lists it among a run's datasets."""

    name: str
    digest: str
    """MD5, as DVC computes it."""
    source: str
    """Path in the project."""
    rows: int
    columns: Mapping[str, str]
    """Name -> MLflow type."""


@dataclass(frozen=True, slots=True)
class RunContents:
    """All that is published of one model, read from the stages' files."""

    model_sha256: str
    run_name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Sequence[tuple[int, Mapping[str, float]]]
    """Epoch and the values at its end."""
    splits: Sequence[SplitFile]
    artifacts: Mapping[str, Path]
    """Path in the run -> file."""
    settings: Values
    """The evaluation's section of params.yaml."""
    model_files: Sequence[Path]
    example: Sequence[str]
    """Texts for the model's input example."""
    results: Values
    """As in metrics.json."""
    details: Values
    """As in details.json."""
    slices: Values
    """As in slices.json."""


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """A run that shows the model in full."""

    run_id: str
    link: str
    """Address of the run, or where to find it."""
    created: bool
    """True when the store did not know the model before."""


def flat_params(params: Params) -> dict[str, str]:
    """Name every value a model follows from by its place in params.yaml, as `train.seed`."""
    sections = params.model_dump(by_alias=True)
    return dict(_flat_values({name: sections[name] for name in LOGGED_SECTIONS}))


def flat_metrics(results: Values, slices: Values) -> dict[str, float]:
    """Name every score: `test/accuracy`, `test_baseline/nb_svm.accuracy`, `test_slice/domain.movie.accuracy`.

    MLflow's page has a section of charts per part before the slash, in alphabetical order: the curves come first.
    Bounds of intervals stay in the note and the report, counts of rows with the datasets.
    """
    own = {name: value for name, value in results.items() if name not in ("baselines", "lead", "calibration", "rows")}
    groups: dict[str, Values] = {
        "test": own,
        "test_calibration": results.get("calibration", {}),
        "test_baseline": results.get("baselines", {}),
        "test_lead": results.get("lead", {}),
        "test_slice": {by: {value: _scores(one) for value, one in parts.items()} for by, parts in slices.items()},
    }
    numbers = ((f"{group}/{name}", value) for group in groups for name, value in _flat_numbers(groups[group]))
    return _unique_names(numbers)


def curve_points(values: Mapping[str, float]) -> dict[str, float]:
    """Name the values at the end of an epoch, to six digits: `curve/validation_loss`."""
    # More digits would only show that the network computes in float32.
    return {f"curve/{name}": float(f"{value:.6g}") for name, value in values.items()}


def run_name(attention: str, results: Values, model_sha256: str) -> str:
    """Name a run so that it tells itself apart in a list: kind of attention, accuracy, first digits of the hash."""
    return f"{attention} {results['accuracy']['value']:.1%} {model_sha256[:8]}"


def receipt(publication: RunContents) -> dict[str, Any]:
    """Say what was published, by content: the same for the same files, whichever run it went to."""
    return {
        "model_sha256": publication.model_sha256,
        "run_name": publication.run_name,
        "datasets": {split.name: split.digest for split in publication.splits},
        "metrics": dict(publication.metrics),
        "files": {name: file_sha256(path) for name, path in publication.artifacts.items()},
    }


def file_sha256(path: Path) -> str:
    """Hash a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flat_values(values: Values, prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat_values(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _flat_numbers(values: Values, prefix: str = "") -> Iterable[tuple[str, float]]:
    for name, value in values.items():
        number = value.get("value") if isinstance(value, Mapping) and "low" in value else value
        path = f"{prefix}{_allowed(str(name))}"
        if isinstance(number, Mapping):
            yield from _flat_numbers(number, f"{path}.")
        elif isinstance(number, int | float) and not isinstance(number, bool):
            yield path, float(number)


def _allowed(name: str) -> str:
    """Keep what MLflow allows in a metric's name."""
    return re.sub(r"[^\w\- ]+", "_", re.sub(r"\s*%", " percent", name)).strip() or "_"


def _unique_names(numbers: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Give each number a name of its own, though two values may differ only in what MLflow does not allow."""
    named: dict[str, float] = {}
    for name, number in numbers:
        short, count = name[:NAME_LIMIT], 2
        while short in named:
            short, count = f"{name[: NAME_LIMIT - 4]} {count}", count + 1
        named[short] = number
    return named


def _scores(one: Values) -> Values:
    return {name: one[name] for name in ("accuracy", "macro_f1") if name in one}
