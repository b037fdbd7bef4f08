"""`atnet doctor`: report what is wrong with the machine and the project before it breaks a run."""

import os
from collections.abc import Iterator
from pathlib import Path

import typer

from atnet.cli.console import print_table
from atnet.config import TrackingConfig
from atnet.diagnosis.finding import Finding
from atnet.diagnosis.machine import check_disk, check_environment, check_packages, check_python
from atnet.diagnosis.pipeline import check_cache, check_dvc_lock, check_git, check_locks
from atnet.diagnosis.services import PREFECT_API, check_prefect, check_store
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def doctor() -> None:
    """Check Python, packages, disk, locks, the MLflow store and Prefect; exit with 1 if there is a fault."""
    findings = list(diagnose(Path.cwd(), load_params().tracking))
    rows = [(finding.level, finding.subject, finding.message) for finding in findings]
    print_table(("level", "subject", "finding"), rows, header=False)
    if any(finding.is_fault for finding in findings):
        raise typer.Exit(1)


def diagnose(root: Path, tracking: TrackingConfig) -> Iterator[Finding]:
    """Run every check; nothing is changed, except that an MLflow store is created if there is none."""
    yield check_python()
    yield check_packages()
    yield check_disk(root)
    yield check_environment(root)
    yield check_git(root)
    yield check_locks(root)
    yield from check_dvc_lock(root)
    yield check_cache(root)
    yield from check_store(root, tracking)
    yield from check_prefect(os.environ.get("PREFECT_API_URL", PREFECT_API))
