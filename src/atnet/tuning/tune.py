"""What `atnet tune` does: search, show the result, and write the best settings to params.yaml on request."""

import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from atnet.config import Params
from atnet.config.tune import SECTION
from atnet.environment import threads_per_process
from atnet.errors import AtnetError, ConfigurationError, StoreError
from atnet.files import PARAMS_FILE, STATE
from atnet.network.training_inputs import training_code, training_inputs
from atnet.params_edit import edit_values, unified_diff
from atnet.storage import csv_text, load_params, project_root, reading, write_text
from atnet.tracking import open_store
from atnet.tracking.tuning_run import TuningRun
from atnet.tuning.callbacks import CallbackList, MlflowCallback, ProgressCallback
from atnet.tuning.plots import plot_trials
from atnet.tuning.search import Budget, Search
from atnet.tuning.shared_study import configured_database, database_errors
from atnet.tuning.space import Settings, current_settings, distributions
from atnet.tuning.study import Study, study_key
from atnet.tuning.trial_tables import best_trials_table, format_value, search_note, summarize_trials, trials_frame
from atnet.tuning.trials import TrialResult, ranking
from atnet.tuning.worker_pool import worker_pool

STUDIES = STATE / "tune"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TuningOptions:
    """The options of one call."""

    trials: int | None = None
    minutes: float | None = None
    jobs: int = 1
    apply: bool = False

    def budget(self, params: Params) -> Budget:
        """Return the limits of this call: if one is given here, neither of those in params.yaml counts."""
        if self.trials is None and self.minutes is None:
            return Budget(params.tune.trials, params.tune.minutes)
        return Budget(self.trials, self.minutes)


@dataclass(frozen=True, slots=True)
class TuningOutcome:
    """The result of a search so far."""

    summary: str
    """One sentence."""
    table: list[str]
    """The best trials, as lines with a header."""
    best: TrialResult | None
    diff: str
    """What the best settings change in params.yaml; empty: nothing."""
    applied: bool
    interrupted: bool
    link: str
    """Where MLflow shows the search."""
    store_error: StoreError | None
    """MLflow is incomplete; the next call adds what is missing."""


@dataclass(frozen=True, slots=True)
class _Session:
    """What the steps of one call share."""

    params: Params
    root: Path
    study: Study
    run: TuningRun
    current: Settings


def tune(params: Params, root: Path, options: TuningOptions) -> TuningOutcome:
    """Search, or continue an interrupted search; the test split is not read.

    Raises:
        AtnetError: if inputs are missing, the store does not answer, or trials fail one after another.
    """
    current = current_settings(params.tune.space, params.train)
    space = distributions(params.tune.space, current)
    key = _search_key(params, root)
    path = project_root(root) / STUDIES / f"{key}.db"
    database = configured_database(params.tune)
    with (
        _exclusive(path) if database is None else nullcontext(),
        database_errors(database),
        closing(Study(path, params.tune, space, current, database)) as study,
    ):
        if options.trials == 0 and not study.results():
            raise AtnetError(
                "There are no trials for the current section train on these tokens. Run `atnet tune` first."
            )
        store = open_store(params.tracking, project_root(root))
        run = TuningRun(store, key, root, shared=database is not None)
        return _search(_Session(params, root, study, run, current), options)


@contextmanager
def _exclusive(study: Path) -> Iterator[None]:
    study.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(study.with_suffix(".lock"), timeout=0):
            yield
    except Timeout:
        raise AtnetError("Another process is running this search. Wait for it or stop it.") from None


def _search(session: _Session, options: TuningOptions) -> TuningOutcome:
    params, objective = session.params, session.params.tune.objective
    budget, results = options.budget(params), session.study.results()
    session.run.log_params(_run_params(params))
    if results:
        logger.info(
            "continuing after %d trials; %s", len(results), summarize_trials(results, objective, session.current)
        )
    interrupted = False
    with (
        worker_pool(options.jobs, session.root, threads=threads_per_process(options.jobs)) as pool,
        ProgressCallback(results, objective, budget.trials) as progress,
    ):
        tracking = MlflowCallback(session.run, results, objective)
        try:
            with pool.interruptible():
                Search(session.study, params.train, pool, CallbackList([progress, tracking])).run(budget)
        except KeyboardInterrupt:
            interrupted = True
        except AtnetError:
            _finish_run(session, "FAILED", "")
            raise
    tracking.on_search_end(session.study.results())
    return _outcome(session, options, interrupted)


def _outcome(session: _Session, options: TuningOptions, interrupted: bool) -> TuningOutcome:
    results, objective = session.study.results(), session.params.tune.objective
    best = next(iter(ranking(results, objective)), None)
    changes = {} if best is None else _changes(best.settings, session.current)
    before, after = _params_texts(session, changes)
    diff = unified_diff(before, after, name=str(PARAMS_FILE))
    _finish_run(session, "KILLED" if interrupted else "FINISHED", diff)
    apply = options.apply and bool(diff) and not interrupted
    if apply:
        write_text(session.root / PARAMS_FILE, after)
    return TuningOutcome(
        summary=summarize_trials(results, objective, session.current),
        table=best_trials_table(results, objective, session.current),
        best=best,
        diff=diff,
        applied=apply,
        interrupted=interrupted,
        link=session.run.link,
        store_error=session.run.error,
    )


def _changes(settings: Settings, current: Settings) -> Settings:
    return {name: value for name, value in settings.items() if value != current[name]}


def _params_texts(session: _Session, changes: Settings) -> tuple[str, str]:
    """Return the text of params.yaml before and after the changes."""
    path = session.root / PARAMS_FILE
    if changes and load_params(path).train != session.params.train:
        raise ConfigurationError(
            f"Section train of {path} changed while the search was running, so the result no longer fits it. "
            "Restore the section and run `atnet tune` again: the trials are kept."
        )
    # Not read_text(): line ends must stay as they are.
    before = path.read_bytes().decode("utf-8")
    return before, edit_values(before, changes, source=str(path)) if changes else before


def _finish_run(session: _Session, status: str, diff: str) -> None:
    results, config = session.study.results(), session.params.tune
    names, space = sorted(config.space), distributions(config.space, session.current)
    plots = plot_trials(results, config.objective, space, session.study.importances(), session.current)
    files = {f"plots/{name}": png for name, png in plots.items()}
    files["trials.csv"] = csv_text(trials_frame(results, names)).encode()
    files["params.diff"] = diff.encode()
    session.run.finish(status, search_note(results, config.objective, session.current, diff, names), files)


def _run_params(params: Params) -> dict[str, str]:
    config = params.tune
    pruning = None if config.pruning is None else json.dumps(config.pruning.model_dump())
    # Without the limits: the next call may have others, and MLflow never changes a parameter.
    plan = {"tune.objective": config.objective, "tune.seed": config.seed, "tune.pruning": pruning}
    space = {f"tune.space.{name}": json.dumps(entry.model_dump()) for name, entry in config.space.items()}
    current = {f"{SECTION}{name}": format_value(value) for name, value in params.train.model_dump().items()}
    return {**{name: format_value(value) for name, value in plan.items()}, **space, **current}


def _search_key(params: Params, root: Path) -> str:
    """Return the key of the search: its data, its settings and the code that trains, but not its budget."""
    config = params.tune.model_dump(exclude={"trials", "minutes", "storage", "worker_timeout_seconds"})
    settings = json.dumps({"tune": config, "train": params.train.model_dump()}, sort_keys=True)
    for path in training_inputs(root):
        with reading(path):
            path.stat()
    return study_key(settings, [*training_inputs(root), *training_code(root)])
