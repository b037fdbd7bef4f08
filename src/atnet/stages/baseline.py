"""Stage `baseline`: fit the baselines that AtNet must beat."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.baselines.baselines import LINEAR, fit_baselines, report, summarize
from atnet.config import SPLITS, Params
from atnet.files import BASELINE_METRICS, BASELINE_PREDICTIONS, split_table
from atnet.schema import labeled_rows
from atnet.stages.command import run_stage
from atnet.stages.fit_progress import FitProgress
from atnet.storage import read_table, write_json, write_table


def baseline(params: Params, root: Path) -> str:
    """Fit on the rows of train that have a label of their own, tune on validation, predict test."""
    train, validation, test = (labeled_rows(read_table(root / split_table(name))) for name in SPLITS)
    with FitProgress(len(LINEAR) * len(params.baseline.regularization)) as progress:
        baselines = fit_baselines(train, validation, params.baseline, on_fit=progress.fitted)
    metrics, predictions = report(baselines, validation, test)
    write_table(root / BASELINE_PREDICTIONS, predictions)
    write_json(root / BASELINE_METRICS, metrics)
    return summarize(metrics)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("baseline", baseline, argv)


if __name__ == "__main__":
    sys.exit(main())
