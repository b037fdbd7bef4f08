"""Stage `validate`: the data file in, good rows, bad rows and their report out."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.config import Params
from atnet.data.expectations import Judge
from atnet.data.source import load_source
from atnet.data.validation import report, require_passed, summary, validate_table
from atnet.stages.command import run_stage
from atnet.storage import write_folder, write_json, write_table


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage on the data file and the folder that argv names."""
    return run_stage("validate", ("source", "validated"), validate, argv)


def validate(params: Params, source: Path, validated: Path) -> str:
    """Write the evidence first; the table only when nothing critical failed."""
    (validated / "table.parquet").unlink(missing_ok=True)
    judge = Judge()
    outcome = validate_table(load_source(source, params.data), params.validate_, judge)
    write_table(validated / "quarantine.parquet", outcome.quarantine)
    write_json(validated / "report.json", report(outcome))
    write_folder(validated / "docs", judge.pages())
    require_passed(outcome, validated / "report.json")
    write_table(validated / "table.parquet", outcome.kept)
    return summary(outcome)


if __name__ == "__main__":
    sys.exit(main())
