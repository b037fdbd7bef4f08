"""Check parameters and data file before DVC starts, because DVC deletes a stage's outputs before the stage can fail."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import typer

from atnet.config import Params
from atnet.data.encodings import check_encoding
from atnet.data.label_checks import check_label_settings, check_labels
from atnet.data.label_mapping import expected_labels, map_labels
from atnet.data.reader import read_labeled_texts
from atnet.diagnosis.pipeline import require_runnable
from atnet.errors import ConfigurationError, DataFileError
from atnet.files import DATA_FOLDERS, DEFAULT_DATA, RAW
from atnet.schema import LABEL
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def check() -> None:
    """Check parameters and data before DVC deletes any output."""
    params = load_params()
    require_runnable(Path.cwd())
    for line in check_inputs(params):
        print(f"check: {line}")


def check_inputs(params: Params) -> list[str]:
    """Check the parameters and the data file for everything that would make a stage fail.

    Paths are relative to the current folder.

    Returns:
        Lines that summarize the data file.

    Raises:
        AtnetError: with the problem and the next step.
    """
    path = Path(params.data.path)
    check_path(path)
    check_encoding(params.data.encoding)
    check_label_settings(params.validate_)
    if not path.exists():
        if path == DEFAULT_DATA:
            return [f"{path} does not exist yet: the sample stage will download the default data."]
        raise missing_file_error(path)
    table = read_labeled_texts(path, params.data)
    labeled = map_labels(table, params.validate_)
    with_label = labeled.table[labeled.table[LABEL].notna()]
    labels = list(with_label[LABEL].unique())
    check_labels(path, with_label, expected_labels(params.validate_, labels))
    return [_summary(path, table, labeled.excluded_by, labels)]


def check_path(path: Path) -> None:
    """Check that the data file is not inside the folder of a stage, which would delete or depend on it.

    Raises:
        ConfigurationError: with the folder.
    """
    # Not resolve(): DVC may link data files into its cache, and what counts is where the user put them.
    absolute = Path(os.path.abspath(path))
    for folder in DATA_FOLDERS:
        if folder != RAW and absolute.is_relative_to(os.path.abspath(folder)):
            raise ConfigurationError(
                f"data.path {path} is inside {folder}, where the pipeline writes. Move the file to {RAW}."
            )


def missing_file_error(path: Path) -> DataFileError:
    """Return the error for a missing data file, with the way to get it."""
    if Path(f"{path}.dvc").exists():
        return DataFileError(f"{path} is missing, but DVC tracks it. Run `dvc checkout {path}`, or `dvc pull {path}`.")
    return DataFileError(f"{path} is missing. Put your file there, or set data.path in params.yaml.")


def _summary(path: Path, table: pd.DataFrame, excluded_by: pd.Series, labels: Sequence[str]) -> str:
    excluded = "".join(f", {rows:,} excluded by {rule}" for rule, rows in excluded_by.value_counts().items())
    names = ", ".join(sorted(labels)[:10]) + (", …" if len(labels) > 10 else "")
    return f"{path}: {len(table):,} rows{excluded}, {len(labels)} labels ({names})."
