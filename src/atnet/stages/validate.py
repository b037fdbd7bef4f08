"""Stage `validate`: separate valid rows from invalid ones, with a report."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.config import Params
from atnet.data.expectations import ExpectationRunner
from atnet.data.reader import read_labeled_texts
from atnet.data.validation import require_passed, summarize, validate_table, validation_report
from atnet.files import DATA_DOCS, QUARANTINE, VALIDATED_TABLE, VALIDATION_PAGE, VALIDATION_REPORT
from atnet.report.data_docs import render_data_docs
from atnet.report.validation_page import render_validation_page
from atnet.stages.command import run_stage
from atnet.storage import write_folder, write_json, write_table, write_text


def validate(params: Params, root: Path) -> str:
    """Write the reports first, then the table if no critical check failed."""
    (root / VALIDATED_TABLE).unlink(missing_ok=True)
    runner = ExpectationRunner()
    table = read_labeled_texts(root / params.data.path, params.data)
    result = validate_table(table, params.validate_, runner)
    write_table(root / QUARANTINE, result.quarantine)
    write_json(root / VALIDATION_REPORT, validation_report(result))
    write_text(root / VALIDATION_PAGE, render_validation_page(result, params.data))
    write_folder(root / DATA_DOCS, render_data_docs(runner.suite_runs))
    require_passed(result, VALIDATION_REPORT)
    write_table(root / VALIDATED_TABLE, result.valid)
    return summarize(result)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("validate", validate, argv)


if __name__ == "__main__":
    sys.exit(main())
