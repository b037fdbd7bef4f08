"""Stage `validate`: separate valid rows from invalid ones, with a report."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.config import Params
from atnet.data.expectations import ExpectationRunner
from atnet.data.label_checks import check_label_source
from atnet.data.own_expectations import load_own_expectations
from atnet.data.quality_report import quality_report, require_passed, summarize
from atnet.data.reader import read_labeled_texts
from atnet.data.validation import validate_table
from atnet.files import DATA_DOCS, DATA_DOCS_PAGES, QUARANTINE, VALIDATED_TABLE, VALIDATION_PAGE, VALIDATION_REPORT
from atnet.report.data_docs import render_data_docs
from atnet.report.validation_page import render_validation_page
from atnet.stages.command import run_stage
from atnet.storage import write_json, write_table, write_text


def validate(params: Params, root: Path) -> str:
    """Write the reports first, then the table if no critical check failed."""
    for path in (VALIDATED_TABLE, QUARANTINE, VALIDATION_REPORT, VALIDATION_PAGE, *DATA_DOCS_PAGES):
        (root / path).unlink(missing_ok=True)
    check_label_source(params.data.columns, params.validate_)
    data_path = root / params.data.path
    texts = read_labeled_texts(data_path, params.data)
    own = load_own_expectations(root / params.validate_.expectations, data_path, params.data)
    runner = ExpectationRunner(own)
    result = validate_table(texts.table, params.validate_, runner)
    write_table(root / QUARANTINE, result.quarantine)
    write_json(root / VALIDATION_REPORT, quality_report(result, texts.source))
    write_text(root / VALIDATION_PAGE, render_validation_page(result, texts.source, params.data))
    for name, page in render_data_docs(runner.suite_runs).items():
        write_text(root / DATA_DOCS / name, page)
    require_passed(result, VALIDATION_REPORT)
    write_table(root / VALIDATED_TABLE, result.valid)
    return summarize(result, texts.source)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("validate", validate, argv)


if __name__ == "__main__":
    sys.exit(main())
