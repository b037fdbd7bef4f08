"""Stage `sample`: download the default data."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from atnet.config import Params
from atnet.data.default_data import cached_archive, parse_archive
from atnet.files import DEFAULT_DATA
from atnet.stages.command import run_stage
from atnet.storage import write_text


def sample(params: Params, root: Path) -> str:
    """Download the pinned archive, once per machine, and write its texts as CSV."""
    cache = Path(os.environ.get("ATNET_CACHE") or platformdirs.user_cache_dir("atnet"))
    table = parse_archive(cached_archive(cache))
    write_text(root / DEFAULT_DATA, table.to_csv(index=False, lineterminator="\n"))
    return f"{len(table):,} rated texts in {table['domain'].nunique()} domains"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return run_stage("sample", sample, argv)


if __name__ == "__main__":
    sys.exit(main())
