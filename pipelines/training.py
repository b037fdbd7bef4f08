"""The training flow: bring in new data, check, run DVC's stages, publish.

Run it without a deployment or a server: `python -m pipelines.training`.
"""

import sys
from dataclasses import asdict
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from atnet.cli.check import check_inputs
from atnet.cli.summary import read_metrics, score_rows
from atnet.diagnosis.pipeline import require_runnable
from atnet.errors import AtnetError
from atnet.file_system import file_system_errors
from atnet.files import REPORT
from atnet.git_dvc import out_of_date
from atnet.refresh_data import refresh_data
from atnet.storage import load_params
from pipelines.dvc_stage import pipeline_lock, stage_task
from pipelines.missed_runs import SKIPPED, newer_run_is_due
from pipelines.stage_list import dvc_address, stages_for
from pipelines.tasks import prepare_run, require_completed, run_flow, start_deployment, state_of

REFRESH_RETRIES = 3
REFRESH_DELAY_SECONDS = [10.0, 60.0, 300.0]
ARTIFACT_KEY = "training-result"
RELEASE = "release/release"
NO_NEW_DATA = "NoNewData"


@task(
    name="refresh",
    task_run_name="refresh",
    cache_policy=NO_CACHE,
    retries=REFRESH_RETRIES,
    retry_delay_seconds=REFRESH_DELAY_SECONDS,
)
def refresh() -> tuple[str, ...]:
    """Fetch new data from the sources; the only task that uses the network, so the only one that is retried."""
    result = refresh_data(Path.cwd(), load_params().data.path)
    get_run_logger().info(result.summary())
    return result.changed


@task(name="stale-stages", task_run_name="find stale stages", cache_policy=NO_CACHE)
def stale_stages() -> list[str]:
    """Return the stages that are out of date."""
    root = Path.cwd()
    return out_of_date(root, [dvc_address(stage) for stage in stages_for(load_params(), root)])


@task(name="check", task_run_name="check", cache_policy=NO_CACHE)
def check() -> State:
    """Check parameters and data while every output still exists."""

    def check_project() -> str:
        require_runnable(Path.cwd())
        return " ".join(check_inputs(load_params()))

    return state_of(check_project)


@task(name="publish-run", task_run_name="complete the MLflow run", cache_policy=NO_CACHE)
def publish() -> State:
    """Complete the MLflow run of the model on disk; safe to repeat."""
    # Only here: MLflow takes seconds to import.
    from atnet.tracking import publish_from_files

    return state_of(lambda: publish_from_files(load_params(), Path.cwd()).link)


@task(name="show-result", task_run_name="show the result", cache_policy=NO_CACHE)
def show_result() -> None:
    """Show the metrics as a table in Prefect's UI."""
    report = REPORT.resolve()
    create_table_artifact(
        key=ARTIFACT_KEY,
        table=[asdict(row) for row in score_rows(read_metrics())],
        description=f"Test split, AtNet and the baselines. Report: [{report.name}]({report.as_uri()}).",
    )


@flow(name="training")
def training(start_release: bool = False) -> State:
    """Retrain what new data or changed settings affect; stop early if there is nothing to do.

    With `start_release`, a trained model is handed to the deployment `release`, whose gate decides.
    """
    prepare_run()
    try:
        if newer_run_is_due():
            return Completed(name=SKIPPED, message="A newer run is due and will train on the same data.")
        with file_system_errors(), pipeline_lock(Path.cwd()):
            state = _train()
    except AtnetError as error:
        return Failed(message=str(error))
    if start_release and state.name != NO_NEW_DATA:
        get_run_logger().info(start_deployment(RELEASE, {}, key=str(flow_run.id)))
    return state


def _train() -> State:
    changed = refresh()
    if not changed and not stale_stages():
        require_completed(publish(return_state=True))
        return Completed(name=NO_NEW_DATA, message="no new data")
    require_completed(check(return_state=True))
    for stage in stages_for(load_params(), Path.cwd()):
        require_completed(stage_task(stage, return_state=True))
    require_completed(publish(return_state=True))
    show_result()
    return Completed(message="trained and published")


def main() -> int:
    """Run the flow in this process; the exit code is 0 if it completed."""
    state = run_flow(training, "training")
    return 0 if state is not None and state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
