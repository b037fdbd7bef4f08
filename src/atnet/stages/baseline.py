"""Stage `baseline`: the splits in, the simple models' metrics and test labels out."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.config import SPLITS, Params
from atnet.evaluation.baseline import fit_baselines, report, summarise
from atnet.stages.command import run_stage
from atnet.storage import read_table, write_json, write_table


def baseline(params: Params, splits: Path, baseline: Path) -> str:
    """Fit on train, choose on validation, answer test."""
    train, validation, test = (read_table(splits / f"{name}.parquet") for name in SPLITS)
    metrics, predictions = report(fit_baselines(train, validation, params.baseline), validation, test)
    write_table(baseline / "predictions.parquet", predictions)
    write_json(baseline / "metrics.json", metrics)
    return summarise(metrics)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("baseline", ("splits", "baseline"), baseline, argv)


if __name__ == "__main__":
    sys.exit(main())
