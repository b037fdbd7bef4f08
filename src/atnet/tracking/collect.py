"""Read the published contents from the files of the stages, after checking that they belong together."""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from atnet import files
from atnet.config import SPLITS, Params
from atnet.errors import ConfigurationError, DataFileError, ModelError
from atnet.files import PARAMS_FILE
from atnet.git_dvc import locked_outputs, locked_params
from atnet.inference import MODEL_FILES, UnusableModelError, model_hash
from atnet.schema import TEXT
from atnet.storage import read_json, read_table
from atnet.tracking.run_contents import (
    RunContents,
    SplitFile,
    curve_points,
    flat_metrics,
    flat_params,
    run_name,
    vector_tags,
)

EXTRA_FILES = ("history.csv", "train_hashes.txt")
"""Files that are stored with a model without being part of its identity."""
NOT_PUBLISHED = ("timings.json",)
EXAMPLES, EXAMPLE_CHARACTERS = 2, 200
NEXT_STEP = "Run `dvc repro` (or `dvc checkout`, if the files should follow dvc.lock), then publish again."


def collect_run_contents(params: Params, root: Path) -> RunContents:
    """Read what is published of the model on disk.

    Raises:
        ModelError: if the model is incomplete.
        DataFileError: if a file is missing, damaged or differs from dvc.lock.
        ConfigurationError: if params.yaml has changed since the files were written.
    """
    try:
        sha256 = model_hash(root / files.MODEL)
    except UnusableModelError as error:
        raise ModelError(str(error)) from error
    results, details, slices = (
        read_json(root / path) for path in (files.METRICS, files.METRIC_DETAILS, files.SLICE_METRICS)
    )
    artifacts = dict(_artifacts(root))
    model_files = [root / files.MODEL / name for name in (*MODEL_FILES, *EXTRA_FILES)]
    splits = [_split_file(root / files.split_table(name), name, root) for name in SPLITS]
    checked = [*model_files, *artifacts.values(), *(root / files.split_table(name) for name in SPLITS)]
    if (root / files.DVC_LOCK).exists():
        check_agreement(
            (root / files.DVC_LOCK).read_text(encoding="utf-8"), params, {_relative(p, root): p for p in checked}
        )
    return RunContents(
        model_sha256=sha256,
        run_name=run_name(params.train.attention, results, sha256),
        params=flat_params(params),
        metrics=flat_metrics(results, slices),
        curves=_curves(root / files.TRAINING_HISTORY),
        splits=splits,
        artifacts=artifacts,
        settings=params.evaluate.model_dump(),
        model_files=model_files,
        example=_example(root / files.split_table("validation")),
        results=results,
        details=details,
        slices=slices,
        tags=vector_tags(params),
    )


def check_agreement(lock_text: str, params: Params, paths: Mapping[str, Path]) -> None:
    """Check that files and params.yaml agree with dvc.lock, so that a run never describes another model.

    Raises:
        DataFileError: naming the first file that differs from dvc.lock.
        ConfigurationError: naming the first parameter that has changed since.
    """
    values = params.model_dump(by_alias=True)
    for name, value in locked_params(lock_text, str(PARAMS_FILE)).items():
        changed = _first_difference(name, value, _value_at(values, name))
        if changed is not None:
            raise ConfigurationError(f"{PARAMS_FILE} has changed since the model was trained: {changed}. {NEXT_STEP}")
    locked = locked_outputs(lock_text)
    for path, file in paths.items():
        if path in locked and locked[path] != file_md5(file):
            raise DataFileError(f"{path} differs from the file recorded in {files.DVC_LOCK}. {NEXT_STEP}")


def file_md5(path: Path) -> str:
    """Compute a file's MD5, by which DVC identifies it."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError:
        raise DataFileError(f"{path} is missing. {NEXT_STEP}") from None


def _artifacts(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted((root / files.EVALUATION).rglob("*")):
        relative = path.relative_to(root / files.EVALUATION)
        if (
            path.is_file()
            and path.name not in NOT_PUBLISHED
            and not any(part.startswith(".") for part in relative.parts)
        ):
            yield f"evaluation/{relative.as_posix()}", path
    if (root / files.SPLIT_REPORT).exists():
        yield "data/split_report.json", root / files.SPLIT_REPORT


def _split_file(path: Path, name: str, root: Path) -> SplitFile:
    digest = file_md5(path)
    try:
        metadata = pq.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowInvalid, OSError) as error:
        raise DataFileError(f"{path} is damaged ({error}). {NEXT_STEP}") from error
    columns = {field.name: _mlflow_type(field.type) for field in schema}
    return SplitFile(name, digest, _relative(path, root), metadata.num_rows, columns)


def _mlflow_type(column_type: pa.DataType) -> str:
    if pa.types.is_boolean(column_type):
        return "boolean"
    return "double" if pa.types.is_floating(column_type) else "string"


def _curves(path: Path) -> list[tuple[int, dict[str, float]]]:
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        return [
            (
                int(row["epoch"]),
                curve_points({name: float(value) for name, value in row.items() if name != "epoch" and value}),
            )
            for row in rows
        ]
    except FileNotFoundError:
        raise DataFileError(f"{path} is missing. {NEXT_STEP}") from None
    except (KeyError, ValueError, TypeError) as error:
        raise DataFileError(f"{path} is damaged ({error!r}). {NEXT_STEP}") from error


def _example(path: Path) -> list[str]:
    texts = read_table(path, columns=[TEXT])[TEXT]
    return [text[:EXAMPLE_CHARACTERS] for text in texts.head(EXAMPLES)]


def _relative(path: Path, root: Path) -> str:
    path, root = path.absolute(), root.absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _value_at(values: Any, name: str) -> Any:
    for part in name.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _first_difference(name: str, locked: Any, now: Any) -> str | None:
    if isinstance(locked, Mapping) and isinstance(now, Mapping):
        keys = [key for key in (*locked, *now) if locked.get(key) != now.get(key)]
        return _first_difference(f"{name}.{keys[0]}", locked.get(keys[0]), now.get(keys[0])) if keys else None
    return None if locked == now else f"{name} was {locked!r} and is now {now!r}"
