"""Stage `split`: the validated table in, training, validation and test out."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.config import SPLITS, Params
from atnet.data.splitting import check_splits, split_table, summarise
from atnet.stages.command import run_stage
from atnet.storage import read_table, write_json, write_table


def split(params: Params, validated: Path, splits: Path) -> str:
    """Part the rows, write the report, then the tables if they can be used."""
    for name in SPLITS:
        (splits / f"{name}.parquet").unlink(missing_ok=True)
    parted = split_table(read_table(validated / "table.parquet"), params.split)
    write_json(splits / "report.json", parted.report)
    check_splits(parted)
    for name, table in parted.tables.items():
        write_table(splits / f"{name}.parquet", table)
    return summarise(parted)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("split", ("validated", "splits"), split, argv)


if __name__ == "__main__":
    sys.exit(main())
