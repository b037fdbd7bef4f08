"""Labeled rows that are not in the champion's data version: what a new training would add."""

from collections.abc import Iterator
from pathlib import Path

from atnet.config import Params
from atnet.data.label_mapping import fold_label_settings, map_labels
from atnet.errors import DataFileError
from atnet.monitoring.labeled_texts import stream_labeled_texts
from atnet.schema import LABEL, TEXT, text_hash
from atnet.text_hashes import TextHashes


def count_new_labeled_rows(params: Params, root: Path, known_hashes: TextHashes) -> int:
    """Count the distinct labeled texts of the data file that are in none of the champion's splits.

    Raises:
        DataContractError: if the file cannot be read with the settings in params.yaml.
    """
    try:
        labeled = TextHashes.union(_labeled_hashes(params, root))
    except DataFileError:
        # Without the file there are no new rows; `atnet check` reports what is wrong with it.
        return 0
    return labeled.count_missing_in(known_hashes)


def _labeled_hashes(params: Params, root: Path) -> Iterator[TextHashes]:
    """Yield the hashes of the labeled texts of each batch."""
    settings = fold_label_settings(params.validate_)
    for batch in stream_labeled_texts(root / params.data.path, params.data):
        labeled = map_labels(batch, settings)
        rows = labeled.table[labeled.excluded_by.isna()]
        rows = rows[rows[LABEL].notna() & rows[TEXT].notna()]
        yield TextHashes.of(text_hash(text) for text in rows[TEXT])
