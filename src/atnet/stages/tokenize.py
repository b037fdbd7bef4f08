"""Stage `tokenize`: fit the tokenizer on the training split and encode all three splits."""

import sys
from collections.abc import Sequence
from pathlib import Path

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
from atnet.stages.command import run_stage
from atnet.storage import read_table, write_array, write_arrow, write_json, write_text
from atnet.text.tokenization import Pretrained, summarize, tokenize_splits
from atnet.text.vector_files import open_vectors


def tokenize(params: Params, root: Path) -> str:
    """Fit the tokenizer, encode the splits and write both, the report last."""
    splits = {name: read_table(root / split_table(name)) for name in SPLITS}
    path = optional_file(params.vectors.pretrained)
    pretrained = None if path is None else Pretrained(open_vectors(root / path), params.vectors)
    tokenized = tokenize_splits(splits, params.tokenize, pretrained)
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
