"""Labeled rows that the champion's data version does not have: what a training would learn in addition."""

from collections.abc import Collection
from pathlib import Path

from atnet.config import Params
from atnet.data.label_mapping import fold_label_settings, map_labels
from atnet.data.reader import read_labeled_texts
from atnet.errors import DataFileError
from atnet.schema import LABEL, TEXT, text_hash


def count_new_labeled_rows(params: Params, root: Path, known_hashes: Collection[str]) -> int:
    """Count the distinct labeled texts of the data file that are in none of the champion's splits.

    Raises:
        DataContractError: if the file cannot be read with the settings in params.yaml.
    """
    try:
        table = read_labeled_texts(root / params.data.path, params.data).table
    except DataFileError:
        # Without the file there are no new rows; `atnet check` reports what is wrong with it.
        return 0
    labeled = map_labels(table, fold_label_settings(params.validate_))
    rows = labeled.table[labeled.excluded_by.isna()]
    rows = rows[rows[LABEL].notna() & rows[TEXT].notna()]
    return len({text_hash(text) for text in rows[TEXT]} - set(known_hashes))
