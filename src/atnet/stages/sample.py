"""Stage `sample`: the embedded default data out."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from atnet.config import Params
from atnet.data.sample import SAMPLE_NAME, cached_archive, parse_archive
from atnet.stages.command import run_stage
from atnet.storage import write_text


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage with the folder that argv names."""
    return run_stage("sample", ("raw",), sample, argv)


def sample(params: Params, raw: Path) -> str:
    """Fetch the pinned archive, once per machine, and write its texts as CSV."""
    cache = Path(os.environ.get("ATNET_CACHE") or platformdirs.user_cache_dir("atnet"))
    table = parse_archive(cached_archive(cache))
    write_text(raw / SAMPLE_NAME, table.to_csv(index=False, lineterminator="\n"))
    return f"{len(table):,} rated texts in {table['domain'].nunique()} domains"


if __name__ == "__main__":
    sys.exit(main())
