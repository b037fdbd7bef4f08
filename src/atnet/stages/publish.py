"""Stage `publish`: the model and its evaluation in, a complete MLflow run and a receipt out."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet import tracking
from atnet.config import Params
from atnet.publishing import receipt
from atnet.stages.command import run_stage
from atnet.storage import write_json


def publish(params: Params, splits: Path, model: Path, evaluation: Path, published: Path) -> str:
    """Bring the run up to what the folders hold, then say what it was."""
    root = Path.cwd()
    publication = tracking.read_publication(params, tracking.Folders(splits, model, evaluation), root)
    run = tracking.publish(params, publication, root)
    write_json(published / "receipt.json", receipt(publication))
    return f"{publication.run_name}, {'a new run' if run.created else 'its run completed'}: {run.link}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage."""
    return run_stage("publish", ("splits", "model", "evaluation", "published"), publish, argv)


if __name__ == "__main__":
    sys.exit(main())
