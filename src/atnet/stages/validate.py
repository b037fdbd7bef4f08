"""Stage `validate`: separate valid rows from invalid ones, with a report."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.batch_engine import open_engine
from atnet.config import Params
from atnet.data.checked_rows import CheckedRows
from atnet.data.expectations import ExpectationRunner
from atnet.data.label_checks import check_label_source
from atnet.data.own_expectations import load_own_expectations
from atnet.data.quality_report import quality_report, require_passed, summarize
from atnet.data.raw_table import needed_disk, spill_raw_columns
from atnet.data.reader import SourceFile
from atnet.data.teacher import check_teacher_labels
from atnet.data.validate_file import DataFile, validate_file
from atnet.data.validation import ValidationResult
from atnet.files import DATA_DOCS, DATA_DOCS_PAGES, QUARANTINE, VALIDATED_TABLE, VALIDATION_PAGE, VALIDATION_REPORT
from atnet.report.data_docs import render_data_docs
from atnet.report.validation_page import render_validation_page
from atnet.spill import require_free_disk, spill_folder
from atnet.stages.command import run_stage
from atnet.storage import write_json, write_text
from atnet.table_batches import table_writer


def validate(params: Params, root: Path) -> str:
    """Write the reports first, then the table if no critical check failed."""
    for path in (VALIDATED_TABLE, QUARANTINE, VALIDATION_REPORT, VALIDATION_PAGE, *DATA_DOCS_PAGES):
        (root / path).unlink(missing_ok=True)
    check_label_source(params.data.columns, params.validate_)
    data_path = root / params.data.path
    require_free_disk(root, needed_disk(data_path), f"stage validate of {params.data.path}")
    with spill_folder(root, "validate") as folder, table_writer(root / VALIDATED_TABLE) as valid:
        raw = spill_raw_columns(data_path, params.data, folder / "raw.arrow")
        own = load_own_expectations(root / params.validate_.expectations, data_path, params.data)
        runner = ExpectationRunner(own)
        with table_writer(root / QUARANTINE) as quarantine:

            def write(rows: CheckedRows) -> None:
                valid.write(rows.valid)
                quarantine.write(rows.quarantine)

            file = DataFile(data_path, params.data, raw)
            with open_engine(params.engine, root) as mapper:
                result = validate_file(file, params.validate_, runner, write, mapper)
        _write_reports(root, result, raw.source, params, runner)
        require_passed(result, VALIDATION_REPORT)
        check_teacher_labels(result.statistics.labels, params.data.columns.teacher)
    return summarize(result, raw.source)


def _write_reports(
    root: Path, result: ValidationResult, source: SourceFile, params: Params, runner: ExpectationRunner
) -> None:
    write_json(root / VALIDATION_REPORT, quality_report(result, source))
    write_text(root / VALIDATION_PAGE, render_validation_page(result, source, params.data))
    for name, page in render_data_docs(runner.suite_runs).items():
        write_text(root / DATA_DOCS / name, page)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("validate", validate, argv)


if __name__ == "__main__":
    sys.exit(main())
