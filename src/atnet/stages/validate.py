"""Stage `validate`: split the data file into valid and quarantined rows, with a report."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.config import Params
from atnet.data.expectations import Judge
from atnet.data.reader import load_source
from atnet.data.validation import report, require_passed, summary, validate_table
from atnet.files import DATA_DOCS, QUARANTINE, VALIDATED_TABLE, VALIDATION_REPORT
from atnet.stages.command import run_stage
from atnet.storage import write_folder, write_json, write_table


def validate(params: Params, root: Path) -> str:
    """Write the report first, then the table if no critical check failed."""
    (root / VALIDATED_TABLE).unlink(missing_ok=True)
    judge = Judge()
    source = load_source(root / params.data.path, params.data)
    outcome = validate_table(source, params.validate_, judge)
    write_table(root / QUARANTINE, outcome.quarantine)
    write_json(root / VALIDATION_REPORT, report(outcome))
    write_folder(root / DATA_DOCS, judge.pages())
    require_passed(outcome, VALIDATION_REPORT)
    write_table(root / VALIDATED_TABLE, outcome.kept)
    return summary(outcome)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("validate", validate, argv)


if __name__ == "__main__":
    sys.exit(main())
