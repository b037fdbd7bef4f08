"""`atnet doctor`: report what is wrong with the machine and the project before it breaks a run."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from atnet.cli.console import print_table
from atnet.config import Params
from atnet.diagnosis.finding import Finding
from atnet.diagnosis.gpu import check_gpu
from atnet.diagnosis.installed_versions import check_installed_versions
from atnet.diagnosis.left_over import check_left_over
from atnet.diagnosis.machine import check_disk, check_engine, check_environment, check_packages, check_python
from atnet.diagnosis.pipeline import check_cache, check_dvc_lock, check_git, check_locks
from atnet.diagnosis.registry import check_registry
from atnet.diagnosis.remote import check_remote
from atnet.diagnosis.schedules import check_prefect, check_sweep
from atnet.diagnosis.services import check_mlflow_server, check_store
from atnet.errors import StoreError
from atnet.registry.versions import aliases, open_registry
from atnet.running_servers import running_servers
from atnet.schedules.live_runs import remove_left_over_locks
from atnet.schedules.prefect_api import configured_api
from atnet.schedules.sweep import apply_sweep, find_project_sweep
from atnet.status.service import service_status
from atnet.storage import load_params

app = typer.Typer()


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="End runs without a process, free slots that no run holds, delete old locks.")
    ] = False,
) -> None:
    """Check the machine, the project, the models, the servers and the schedules; exit with 1 if there is a fault."""
    params, root, now = load_params(), Path.cwd(), datetime.now(UTC)
    if fix:
        _fix(params, root, now)
    findings = list(diagnose(params, root, now))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    else:
        rows = [(finding.level, finding.subject, finding.message) for finding in findings]
        print_table(("level", "subject", "finding"), rows, header=False)
    if any(finding.is_fault for finding in findings):
        raise typer.Exit(1)


def diagnose(params: Params, root: Path, now: datetime) -> Iterator[Finding]:
    """Run every check; nothing is changed, except that an MLflow store is created if there is none.

    The check of the artifacts writes a small file and deletes it.
    """
    yield check_python()
    yield check_packages()
    yield check_installed_versions(root)
    yield check_gpu()
    yield check_disk(root)
    yield check_environment(root)
    yield check_engine(params.engine)
    yield check_git(root)
    yield check_locks(root)
    yield from check_dvc_lock(root)
    yield check_cache(root)
    yield check_remote(root, now.date())
    yield from check_left_over(root, now)
    yield from check_store(root, params.tracking)
    servers = running_servers(root)
    if servers is not None:
        yield check_mlflow_server(servers.mlflow)
    yield from check_registry(root, params.tracking)
    yield _service(params, root)
    yield from check_prefect(configured_api(root), now)
    yield from _runs(params, root, now)


def _service(params: Params, root: Path) -> Finding:
    try:
        champion = aliases(open_registry(params.tracking, root)).get(params.serve.alias)
    except StoreError:
        # Another check reports it.
        champion = None
    item = service_status(params.serve, root, champion)
    return Finding(item.subject, item.level, item.message)


def _runs(params: Params, root: Path, now: datetime) -> Iterator[Finding]:
    try:
        sweep = find_project_sweep(configured_api(root), params, root, now)
    except StoreError:
        # Without a server there are no runs, and another check reports it.
        return
    yield from check_sweep(sweep)


def _fix(params: Params, root: Path, now: datetime) -> None:
    remove_left_over_locks(root)
    try:
        api = configured_api(root)
        apply_sweep(api, root, find_project_sweep(api, params, root, now))
    except StoreError as error:
        typer.echo(f"doctor: nothing could be fixed at Prefect's server: {error}", err=True)
