"""Stage `publish`: complete the model's MLflow run and write a receipt."""

import sys
from collections.abc import Sequence
from pathlib import Path

from atnet import tracking
from atnet.config import Params
from atnet.files import RECEIPT
from atnet.stages.command import run_stage
from atnet.storage import write_json
from atnet.tracking.run_contents import receipt


def publish(params: Params, root: Path) -> str:
    """Update the run from the files, then record what was published."""
    contents = tracking.collect_run_contents(params, root)
    run = tracking.publish(params, contents, root)
    write_json(root / RECEIPT, receipt(contents))
    return f"{contents.run_name}, {'a new run' if run.created else 'its run completed'}: {run.link}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("publish", publish, argv)


if __name__ == "__main__":
    sys.exit(main())
