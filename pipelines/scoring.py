"""The scoring flow: find pending partitions, fetch the champion, score.

It does what `atnet score` does. Run it without a deployment or a server: `python -m pipelines.scoring`.
"""

import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from atnet.config import ScoreConfig
from atnet.errors import AtnetError, StoreError
from atnet.scoring.fetch_model import fetch_model
from atnet.scoring.manifest import ScoringModel
from atnet.scoring.options import ScoringJob, ScoringOptions, is_table, scoring_job
from atnet.scoring.outcome import ScoringOutcome, ScoringPlan
from atnet.scoring.score import find_pending, score_pending
from atnet.storage import load_params
from pipelines.missed_runs import SKIPPED, is_scheduled, newer_run_is_due
from pipelines.tasks import prepare_run, run_flow

ARTIFACT_KEY = "scoring-result"
RETRIES = 3
DELAY_SECONDS = [10.0, 60.0, 300.0]
LISTED_PARTITIONS = 1000


def store_failed(_task: Any, _run: Any, state: State) -> bool:
    """Return whether a task failed because the registry or a database did not answer."""
    return isinstance(state.result(raise_on_failure=False), StoreError)


def network_task(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Return the decorator of a task that is retried if the registry or a database does not answer."""
    return task(
        name=name,
        task_run_name=name.replace("-", " "),
        cache_policy=NO_CACHE,
        retries=RETRIES,
        retry_delay_seconds=DELAY_SECONDS,
        retry_condition_fn=store_failed,
    )


@network_task("find-pending")
def find(job: ScoringJob, model_sha256: str | None) -> ScoringPlan:
    """Return the partitions that have to be scored."""
    return find_pending(job, model_sha256=model_sha256)


@network_task("fetch-model")
def fetch(job: ScoringJob, folder: Path) -> ScoringModel:
    """Download the champion and verify it."""
    return fetch_model(job.tracking, job.root, job.options.alias, folder)


@network_task("score-partitions")
def score_partitions(job: ScoringJob, plan: ScoringPlan, model: ScoringModel) -> ScoringOutcome:
    """Score the partitions; one that was scored before a failure is scored again only with a new attempt."""
    return score_pending(job, plan, model, now=datetime.now(UTC))


@task(name="show-result", task_run_name="show the result", cache_policy=NO_CACHE)
def show_result(outcome: ScoringOutcome) -> None:
    """Show the scored partitions as a table in Prefect's UI."""
    rows = [
        {
            "partition": manifest.partition,
            "rows": manifest.rows_in,
            "rejected": manifest.rows_rejected,
            "version": manifest.version,
        }
        for manifest in outcome.scored[:LISTED_PARTITIONS]
    ]
    create_table_artifact(key=ARTIFACT_KEY, table=rows, description=outcome.summary())


@flow(name="scoring")
def scoring(
    source: str | None = None,
    target: str | None = None,
    first: date | None = None,
    last: date | None = None,
    force: bool = False,
    stale: bool = False,
    timezone: str = "UTC",
) -> State:
    """Score what is pending in `score.input`; `first` and `last` limit it to a range of days."""
    prepare_run()
    try:
        config = load_params().score
        day = scheduled_day(config, timezone)
        if config.after_downtime == "newest" and newer_run_is_due():
            return Completed(name=SKIPPED, message="A newer run is due and will score everything that is pending.")
        options = ScoringOptions(first=first or day, last=last or day, force=force, stale=stale)
        job = scoring_job(source or config.input, target or config.output, options, Path.cwd())
        if source is None and not is_table(job.source) and not (job.root / job.source).exists():
            return Completed(
                name="NoInput",
                message=f"{job.source} does not exist. Put texts there, or set score.input in params.yaml.",
            )
        return _score(job)
    except AtnetError as error:
        return Failed(message=str(error))


def _score(job: ScoringJob) -> State:
    with tempfile.TemporaryDirectory(prefix="atnet-score-") as folder:
        model = fetch(job, Path(folder)) if job.options.stale else None
        plan = find(job, model.sha256 if model else None)
        if not plan.pending:
            return Completed(name="UpToDate", message=ScoringOutcome(plan).summary())
        outcome = score_partitions(job, plan, model or fetch(job, Path(folder)))
    get_run_logger().info(outcome.summary())
    show_result(outcome)
    return Failed(message=outcome.summary()) if outcome.failed else Completed(name="Scored", message=outcome.summary())


def scheduled_day(config: ScoreConfig, timezone: str) -> date | None:
    """Return the day before the scheduled start if each scheduled run scores its own day, otherwise None."""
    if config.after_downtime != "each" or not is_scheduled():
        return None
    start: datetime = flow_run.scheduled_start_time
    return start.astimezone(ZoneInfo(timezone)).date() - timedelta(days=1)


def main() -> int:
    """Run the flow in this process; the exit code is 0 if it completed."""
    state = run_flow(scoring, "scoring")
    return 0 if state is not None and state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
