"""What a model's MLflow run contains: its parts, its name, and the names of its parameters and metrics."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from atnet.config import Params
from atnet.file_hashes import file_sha256
from atnet.files import optional_file

Values = Mapping[str, Any]

LOGGED_SECTIONS = ("train", "vectors", "tokenize", "split", "validate", "data", "baseline")
"""Sections that determine a model, the most interesting first. `evaluate` is not among them: a model can be evaluated
again with other settings, and MLflow never changes a parameter. It is logged as an artifact instead."""
NOT_RECORDED = "not recorded"
NOT_LOGGED = ("vectors.pretrained_source", "vectors.pretrained_license")
"""Notes about a file, which may be corrected later: they are tags."""
GROUPED = ("baselines", "lead", "calibration", "selective", "rows")
"""Parts of metrics.json that are not scores of the whole test split."""
METRIC_NAME_CHARACTERS = 250
"""Limit of MLflow."""


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
    """Everything that is published of one model, read from the files of the stages."""

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
    """Section evaluate of params.yaml."""
    model_files: Sequence[Path]
    example: Sequence[str]
    """Texts for the input example of the model."""
    results: Values
    """The contents of metrics.json."""
    details: Values
    """The contents of details.json."""
    slices: Values
    """The contents of slices.json."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the run, in addition to those of every run."""


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """The complete run of a model."""

    run_id: str
    link: str
    """Address of the run, or its id and store."""
    created: bool
    """Whether the store did not have the model before."""


def flat_params(params: Params) -> dict[str, str]:
    """Return every value that determines a model by its dotted key in params.yaml, such as `train.seed`."""
    sections = params.model_dump(by_alias=True)
    values = _flat_values({name: sections[name] for name in LOGGED_SECTIONS})
    return {name: value for name, value in values if name not in NOT_LOGGED}


def vector_tags(params: Params) -> dict[str, str]:
    """Return tags for source and license of pretrained word vectors; none without them."""
    vectors = params.vectors
    if optional_file(vectors.pretrained) is None:
        return {}
    return {
        "pretrained.source": vectors.pretrained_source or NOT_RECORDED,
        "pretrained.license": vectors.pretrained_license or NOT_RECORDED,
    }


def flat_metrics(results: Values, slices: Values) -> dict[str, float]:
    """Return every score by name: `test/accuracy`, `test_baseline/nb_svm.accuracy`, `test_slice/domain.movie.accuracy`.

    MLflow's run page has a section of charts per part before the slash, in alphabetical order: the curves come first.
    Interval bounds are left to the note and the report, row counts to the datasets.
    """
    own = {name: value for name, value in results.items() if name not in GROUPED}
    groups: dict[str, Values] = {
        "test": own,
        "test_calibration": results.get("calibration", {}),
        "test_baseline": results.get("baselines", {}),
        "test_lead": results.get("lead", {}),
        "test_selective": results.get("selective", {}),
        "test_slice": {by: {value: _scores(part) for value, part in parts.items()} for by, parts in slices.items()},
    }
    numbers = ((f"{group}/{name}", value) for group in groups for name, value in _flat_numbers(groups[group]))
    return _unique_names(numbers)


def curve_points(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values at the end of an epoch by name, to six digits: `curve/validation_loss`."""
    # The network computes in float32: more digits carry no information.
    return {f"curve/{name}": float(f"{value:.6g}") for name, value in values.items()}


def run_name(attention: str, results: Values, model_sha256: str) -> str:
    """Return the name of a run: attention mode, accuracy, and the start of the model's hash."""
    return f"{attention} {results['accuracy']['value']:.1%} {model_sha256[:8]}"


def receipt(contents: RunContents) -> dict[str, Any]:
    """Return what was published, by content: the same for the same files, whichever run they went to."""
    return {
        "model_sha256": contents.model_sha256,
        "run_name": contents.run_name,
        "datasets": {split.name: split.digest for split in contents.splits},
        "metrics": dict(contents.metrics),
        "files": {name: file_sha256(path) for name, path in contents.artifacts.items()},
    }


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
    """Replace what MLflow does not allow in a metric name."""
    return re.sub(r"[^\w\- ]+", "_", re.sub(r"\s*%", " percent", name)).strip() or "_"


def _unique_names(numbers: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return unique names: two names may differ only in characters that MLflow does not allow."""
    named: dict[str, float] = {}
    for name, number in numbers:
        short, count = name[:METRIC_NAME_CHARACTERS], 2
        while short in named:
            short, count = f"{name[: METRIC_NAME_CHARACTERS - 4]} {count}", count + 1
        named[short] = number
    return named


def _scores(part: Values) -> Values:
    return {name: part[name] for name in ("accuracy", "macro_f1") if name in part}
