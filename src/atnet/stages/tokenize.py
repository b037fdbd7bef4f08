"""Stage `tokenize`: fit the tokenizer on the training split and encode all three splits."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.batch_engine import open_engine
from atnet.config import SPLITS, Params
from atnet.files import (
    LABELS,
    PRETRAINED_VECTORS,
    TOKENIZE_REPORT,
    TOKENIZER,
    encoded_split,
    optional_file,
    split_table,
)
from atnet.spill import require_free_disk, spill_folder
from atnet.stages.command import run_stage
from atnet.storage import write_array, write_arrow, write_json, write_text
from atnet.table_batches import TableSource, table_shape
from atnet.text.tokenization import Pretrained, needed_disk, summarize, tokenize_batches
from atnet.text.vector_files import open_vectors


def tokenize(params: Params, root: Path) -> str:
    """Fit the tokenizer, encode the splits and write both, the report last."""
    paths = {name: root / split_table(name) for name in SPLITS}
    shapes = [table_shape(path) for path in paths.values()]
    rows, size = sum(shape.rows for shape in shapes), sum(shape.bytes for shape in shapes)
    require_free_disk(root, needed_disk(rows, size), f"stage tokenize of {rows:,} rows")
    path = optional_file(params.vectors.pretrained)
    pretrained = None if path is None else Pretrained(open_vectors(root / path), params.vectors)
    with spill_folder(root, "tokenize") as folder, open_engine(params.engine, root) as mapper:
        sources = {name: TableSource.at(split) for name, split in paths.items()}
        tokenized = tokenize_batches(sources, params.tokenize, folder, pretrained, mapper)
        write_array(root / PRETRAINED_VECTORS, tokenized.pretrained_VD)
        write_text(root / TOKENIZER, tokenized.tokenizer.to_str(pretty=True) + "\n")
        write_json(root / LABELS, tokenized.labels)
        for name, table in tokenized.tables.items():
            write_arrow(root / encoded_split(name), table)
    write_json(root / TOKENIZE_REPORT, tokenized.report)
    return summarize(tokenized)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("tokenize", tokenize, argv)


if __name__ == "__main__":
    sys.exit(main())
