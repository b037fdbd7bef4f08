"""Stage `tokenize`: the splits in, a tokenizer fitted on train and the encoded splits out."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.config import SPLITS, Params
from atnet.stages.command import run_stage
from atnet.storage import read_table, write_arrow, write_json, write_text
from atnet.text.tokenization import summarise, tokenize_splits


def tokenize(params: Params, splits: Path, tokens: Path) -> str:
    """Fit, encode and write; the report last."""
    tokenized = tokenize_splits({name: read_table(splits / f"{name}.parquet") for name in SPLITS}, params.tokenize)
    write_text(tokens / "tokenizer.json", tokenized.tokenizer.to_str(pretty=True) + "\n")
    write_json(tokens / "labels.json", tokenized.labels)
    for name, table in tokenized.tables.items():
        write_arrow(tokens / f"{name}.arrow", table)
    write_json(tokens / "report.json", tokenized.report)
    return summarise(tokenized)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("tokenize", ("splits", "tokens"), tokenize, argv)


if __name__ == "__main__":
    sys.exit(main())
