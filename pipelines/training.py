"""The training flow: bring new data in, check, run DVC's stages, publish.

Run it alone, with nothing started before: `python -m pipelines.training`.
"""

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from atnet.cli.refresh import refresh
from atnet.cli.summary import read_metrics, score_rows
from atnet.environment import prepare_process
from atnet.errors import AtnetError
from atnet.files import REPORT
from atnet.git_dvc import out_of_date
from atnet.storage import load_params
from pipelines.dvc_stage import dvc_address, pipeline_lock, stage_task, stages_for

REFRESH_RETRIES = 3
REFRESH_DELAY_SECONDS = [10.0, 60.0, 300.0]
ARTIFACT_KEY = "training-result"


@task(
    name="refresh",
    task_run_name="refresh",
    cache_policy=NO_CACHE,
    retries=REFRESH_RETRIES,
    retry_delay_seconds=REFRESH_DELAY_SECONDS,
)
def refresh_data() -> tuple[str, ...]:
    """Ask the sources for new data; the only task that goes over the network, so the only one retried."""
    found = refresh(Path.cwd(), load_params().data.path)
    get_run_logger().info(found.told())
    return found.changed


@task(name="look-for-work", task_run_name="look for work", cache_policy=NO_CACHE)
def look_for_work() -> list[str]:
    """Name the stages that are out of date."""
    stages = stages_for(load_params())
    return out_of_date(Path.cwd(), [dvc_address(stage) for stage in stages])


@task(name="check", task_run_name="check", cache_policy=NO_CACHE)
def check() -> State:
    """Refuse what is known to fail while every output is still in place."""
    from atnet.cli.check import check_inputs

    return _told(lambda: " ".join(check_inputs(load_params())))


@task(name="publish-act", task_run_name="see that it is published", cache_policy=NO_CACHE)
def publish() -> State:
    """Complete the MLflow run of the model at hand; safe to repeat."""
    from atnet.tracking import publish_from_files

    return _told(lambda: publish_from_files(load_params(), Path.cwd()).link)


@task(name="show-result", task_run_name="show the result", cache_policy=NO_CACHE)
def show_result() -> None:
    """Leave the metrics as a table in Prefect's UI."""
    report = REPORT.resolve()
    create_table_artifact(
        key=ARTIFACT_KEY,
        table=[asdict(row) for row in score_rows(read_metrics())],
        description=f"Test split, AtNet beside the baselines. Report: [{report.name}]({report.as_uri()}).",
    )


@flow(name="training")
def training() -> State:
    """Retrain what new data or changed settings touch; end early when there is nothing to do."""
    prepare_process()
    try:
        with pipeline_lock(Path.cwd()):
            return _train()
    except AtnetError as error:
        return Failed(message=str(error))


def _train() -> State:
    changed = refresh_data()
    if not changed and not look_for_work():
        _demand(publish(return_state=True))
        return Completed(name="NoNewData", message="no new data")
    _demand(check(return_state=True))
    for stage in stages_for(load_params()):
        _demand(stage_task(stage, return_state=True))
    _demand(publish(return_state=True))
    show_result()
    return Completed(message="trained and published")


def _told(act: Callable[[], str]) -> State:
    try:
        return Completed(message=act())
    except AtnetError as error:
        return Failed(message=str(error))


def _demand(state: State) -> None:
    if not state.is_completed():
        raise AtnetError(state.message or f"A task ended in the state {state.name}.")


def main() -> int:
    """Run the flow here and now and turn its state into an exit code."""
    state = training(return_state=True)
    if state.is_completed():
        print(f"training: {state.message}")
        return 0
    print(f"training: {state.message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
