"""Stage `split`: split the validated table into training, validation and test rows."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.batch_engine import open_engine
from atnet.config import SPLITS, Params
from atnet.data.splitting import SplitPlan, check_splits, needed_disk, plan_split, summarize
from atnet.files import SPLIT_REPORT, VALIDATED_TABLE
from atnet.files import split_table as split_file
from atnet.schema import HARD_LABEL
from atnet.spill import require_free_disk, spill_folder
from atnet.stages.command import run_stage
from atnet.storage import write_json
from atnet.table_batches import TableSource, table_shape, table_writer


def split(params: Params, root: Path) -> str:
    """Write the report first, then the tables if a model can be trained on them."""
    for name in SPLITS:
        (root / split_file(name)).unlink(missing_ok=True)
    path = root / VALIDATED_TABLE
    shape = table_shape(path)
    needed = needed_disk(shape.rows, shape.bytes, params.split, has_teacher=HARD_LABEL in shape.columns)
    require_free_disk(root, needed, f"stage split of {shape.rows:,} rows")
    source = TableSource.at(path)
    with spill_folder(root, "split") as folder, open_engine(params.engine, root) as mapper:
        plan = plan_split(source, params.split, folder, mapper)
    write_json(root / SPLIT_REPORT, plan.report)
    check_splits(plan.report)
    _write_tables(plan, source, root)
    return summarize(plan.report)


def _write_tables(plan: SplitPlan, source: TableSource, root: Path) -> None:
    first_row = 0
    with contextlib.ExitStack() as stack:
        writers = {name: stack.enter_context(table_writer(root / split_file(name))) for name in SPLITS}
        for batch in source.batches(list(source.columns)):
            for name, rows in plan.divide(batch, first_row).items():
                writers[name].write(rows)
            first_row += len(batch)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("split", split, argv)


if __name__ == "__main__":
    sys.exit(main())
