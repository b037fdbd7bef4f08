"""Look at parameters and input before DVC starts, which deletes a stage's outputs before the stage can refuse them."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from atnet.config import Params
from atnet.data.label_mapping import check_label_settings, expected_labels, map_labels
from atnet.data.raw_bytes import check_encoding
from atnet.data.reader import load_source
from atnet.errors import ConfigurationError, DataContractError, DataFileError
from atnet.files import DATA_FOLDERS, DEFAULT_DATA, RAW
from atnet.redaction import has_credentials
from atnet.schema import LABEL, SPLIT


def check_inputs(params: Params) -> list[str]:
    """Refuse what is known to fail: settings that contradict each other, and a data file that cannot be trained on.

    Paths are relative to the current folder.

    Returns:
        Lines that say what was found.

    Raises:
        AtnetError: naming the fault and the next step.
    """
    path = Path(params.data.path)
    check_path(path)
    check_encoding(params.data.encoding)
    check_label_settings(params.validate_)
    if not path.exists():
        if path == DEFAULT_DATA:
            return [f"{path} is not here yet: the sample stage will fetch the embedded default data."]
        raise missing_file(path)
    table = load_source(path, params.data)
    labeled = map_labels(table, params.validate_)
    usable = labeled.table[labeled.table[LABEL].notna()]
    found = list(usable[LABEL].unique())
    check_labels(path, usable, expected_labels(params.validate_, found))
    return [_told(path, table, labeled.left_out, found)]


def secret_notes(params: Params) -> list[str]:
    """Warn of a password in params.yaml, which is committed to git."""
    if not has_credentials(params.tracking.uri):
        return []
    return ["tracking.uri in params.yaml contains a password: set MLFLOW_TRACKING_URI in the environment instead"]


def check_path(path: Path) -> None:
    """Refuse a data file inside the folder of a stage that would delete or depend on it.

    Raises:
        ConfigurationError: naming the folder.
    """
    # Not resolve(): DVC may link data files into its cache, and what counts is where the user put them.
    absolute = Path(os.path.abspath(path))
    for folder in DATA_FOLDERS:
        if folder != RAW and absolute.is_relative_to(os.path.abspath(folder)):
            raise ConfigurationError(
                f"data.path {path} lies in {folder}, where the pipeline writes. Move the file to {RAW}."
            )


def missing_file(path: Path) -> DataFileError:
    """Say how a missing data file comes here."""
    if Path(f"{path}.dvc").exists():
        return DataFileError(f"{path} is missing, but DVC tracks it. Run `dvc checkout {path}`, or `dvc pull {path}`.")
    return DataFileError(f"{path} is missing. Put your file there, or set data.path in params.yaml.")


def check_labels(path: Path, usable: pd.DataFrame, expected: Sequence[str]) -> None:
    """Refuse a table with one label, or with fewer rows than labels.

    Args:
        path: where it came from.
        usable: rows that have a label.
        expected: every label that should be there.

    Raises:
        DataContractError: naming what is there.
    """
    found = sorted(set(usable[LABEL]).intersection(expected))
    if len(found) < 2:
        what = f"only the label {found[0]!r}" if found else "no row with a label that may be used"
        raise DataContractError(
            f"{path} holds {what}; a classifier needs two. "
            "Look at data.columns and at label_map, label_from_rating and labels under validate in params.yaml."
        )
    if len(usable) < len(expected):
        raise DataContractError(
            f"{path} holds {len(usable):,} labeled rows for {len(expected):,} labels. Add rows, or take labels away."
        )
    if SPLIT in usable:
        _check_training_labels(path, usable)


def _check_training_labels(path: Path, usable: pd.DataFrame) -> None:
    trained = set(usable.loc[usable[SPLIT] == "train", LABEL])
    for split in ("validation", "test"):
        unseen = sorted(set(usable.loc[usable[SPLIT] == split, LABEL]) - trained)
        if unseen:
            raise DataContractError(
                f"{path}: the label {unseen[0]!r} stands in {split} but never in train. "
                "Move rows of it to train, or take it out with validate.label_map."
            )


def _told(path: Path, table: pd.DataFrame, left_out: pd.Series, labels: Sequence[str]) -> str:
    rules = "".join(f", {rows:,} left out by {rule}" for rule, rows in left_out.value_counts().items())
    names = ", ".join(sorted(labels)[:10]) + (", …" if len(labels) > 10 else "")
    return f"{path}: {len(table):,} rows{rules}, {len(labels)} labels ({names})."
