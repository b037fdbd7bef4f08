"""Stage `split`: split the validated table into training, validation and test rows."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.config import SPLITS, Params
from atnet.data.splitting import check_splits, split_table, summarize
from atnet.files import SPLIT_REPORT, VALIDATED_TABLE
from atnet.files import split_table as split_file
from atnet.stages.command import run_stage
from atnet.storage import read_table, write_json, write_table


def split(params: Params, root: Path) -> str:
    """Write the report first, then the tables if a model can be trained on them."""
    for name in SPLITS:
        (root / split_file(name)).unlink(missing_ok=True)
    splits = split_table(read_table(root / VALIDATED_TABLE), params.split)
    write_json(root / SPLIT_REPORT, splits.report)
    check_splits(splits)
    for name, table in splits.tables.items():
        write_table(root / split_file(name), table)
    return summarize(splits)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("split", split, argv)


if __name__ == "__main__":
    sys.exit(main())
