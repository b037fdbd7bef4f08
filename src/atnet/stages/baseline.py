"""Stage `baseline`: fit the baselines that AtNet must beat."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet.baselines.baselines import LINEAR, fit_baselines
from atnet.baselines.sampling import labeled_batches, read_sample
from atnet.baselines.scores import SplitPredictor, report, summarize
from atnet.config import Params
from atnet.files import BASELINE_METRICS, BASELINE_PREDICTIONS, split_table
from atnet.stages.command import run_stage
from atnet.stages.fit_progress import FitProgress
from atnet.storage import write_json
from atnet.table_batches import table_writer


def baseline(params: Params, root: Path) -> str:
    """Fit on the rows of train that have a label of their own, tune on validation, predict test.

    At most `baseline.linear_max_tokens` tokens of train and of validation are in memory; test is predicted in batches.
    """
    config = params.baseline
    samples = {
        name: read_sample(root / split_table(name), config.linear_max_tokens, config.seed)
        for name in ("train", "validation")
    }
    train, validation = samples["train"].table, samples["validation"].table
    with FitProgress(len(LINEAR) * len(config.regularization)) as progress:
        baselines = fit_baselines(train, validation, config, on_fit=progress.fitted)
    on_validation, on_test = SplitPredictor(baselines), SplitPredictor(baselines)
    on_validation.predict(validation)
    with table_writer(root / BASELINE_PREDICTIONS) as writer:
        for batch in labeled_batches(root / split_table("test")):
            writer.write(on_test.predict(batch))
    metrics = report(baselines, on_validation.scores(), on_test.scores(), samples)
    write_json(root / BASELINE_METRICS, metrics)
    return summarize(metrics)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("baseline", baseline, argv)


if __name__ == "__main__":
    sys.exit(main())
