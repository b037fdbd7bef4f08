"""The tuning flow: run the stages that training needs, search, and write the best settings on request.

Its CLI equivalent is `atnet tune`. To run it once: `python -m pipelines.tuning`.
"""

import sys
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from atnet.errors import AtnetError
from atnet.file_system import file_system_errors
from atnet.formatting import code_block
from atnet.storage import load_params
from atnet.tuning.tune import TuningOptions, TuningOutcome, tune
from pipelines.dvc_stage import pipeline_lock, stage_task
from pipelines.stage_list import stages_for
from pipelines.tasks import prepare_run, require_completed, run_flow

ARTIFACT_KEY = "tuning-result"
NEEDED_STAGES = frozenset({"sample", "validate", "split", "tokenize", "vectors"})
"""The stages whose outputs a trial reads."""


@task(name="search", task_run_name="search", cache_policy=NO_CACHE, retries=0)
def search(options: TuningOptions) -> TuningOutcome:
    """Run the trials; an interrupted search continues where it stopped."""
    outcome = tune(load_params(), Path.cwd(), options)
    get_run_logger().info(outcome.summary)
    return outcome


@task(name="show-trials", task_run_name="show the trials", cache_policy=NO_CACHE)
def show_trials(outcome: TuningOutcome) -> None:
    """Show the best trials and the change of params.yaml in Prefect's UI."""
    parts = [outcome.summary, code_block("\n".join(outcome.table), "text")]
    parts += [code_block(outcome.diff, "diff")] if outcome.diff else []
    create_markdown_artifact(
        key=ARTIFACT_KEY,
        markdown="\n\n".join([*parts, f"MLflow: {outcome.link}"]),
        description="The best trials on the validation split.",
    )


@flow(name="tuning")
def tuning(trials: int | None = None, minutes: float | None = None, jobs: int = 1, apply: bool = False) -> State:
    """Search for better training parameters; params.yaml is changed only with `apply`."""
    prepare_run()
    try:
        with file_system_errors(), pipeline_lock(Path.cwd()):
            for stage in stages_for(load_params(), Path.cwd()):
                if stage in NEEDED_STAGES:
                    require_completed(stage_task(stage, return_state=True))
            outcome = search(TuningOptions(trials, minutes, jobs, apply))
        show_trials(outcome)
        if outcome.store_error is not None:
            raise outcome.store_error
    except AtnetError as error:
        return Failed(message=str(error))
    return Completed(name="Applied" if outcome.applied else "Searched", message=outcome.summary)


def main() -> int:
    """Run the flow in this process and return the exit code of its state."""
    state = run_flow(tuning, "tuning")
    return 0 if state is not None and state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
