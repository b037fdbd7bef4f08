"""Labeled rows that the champion's data version does not have: what a training would learn from in addition."""

from collections.abc import Collection
from pathlib import Path

from atnet.config import Params
from atnet.data.labelling import map_labels
from atnet.data.source import load_source
from atnet.errors import DataFileError
from atnet.table import LABEL, TEXT, text_hash


def count_new_labeled_rows(params: Params, root: Path, known_hashes: Collection[str]) -> int:
    """Count the distinct labeled texts of the data file that are in none of the champion's splits.

    Raises:
        DataContractError: if the file cannot be read as params.yaml says.
    """
    try:
        table = load_source(root / params.data.path, params.data)
    except DataFileError:
        # Not fetched here: nothing new can be in it. `atnet check` says what is wrong with it.
        return 0
    labeled = map_labels(table, params.validate_)
    rows = labeled.table[labeled.left_out.isna()]
    rows = rows[rows[LABEL].notna() & rows[TEXT].notna()]
    return len({text_hash(text) for text in rows[TEXT]} - set(known_hashes))
