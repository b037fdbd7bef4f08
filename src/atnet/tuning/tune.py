"""The act `atnet tune`: search, show, and write the best settings into params.yaml if asked to."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from filelock import FileLock, Timeout

from atnet.config import Params
from atnet.config.tune import SECTION, Value
from atnet.errors import AtnetError, ConfigurationError, StoreError
from atnet.files import PARAMS_FILE, STATE
from atnet.network.training_inputs import training_code, training_inputs
from atnet.storage import load_params, project_root, reading, write_text
from atnet.tracking import open_store
from atnet.tracking.tuning_run import TuningRun
from atnet.tuning.callbacks import CallbackList, MlflowCallback, ProgressCallback
from atnet.tuning.params_edit import applied, difference
from atnet.tuning.plots import pictures
from atnet.tuning.search import Budget, Search
from atnet.tuning.space import Settings, current_settings, distributions
from atnet.tuning.study import Study, study_key
from atnet.tuning.trial_tables import best_table, comparison, run_note, shown
from atnet.tuning.trials import TrialResult, ranking
from atnet.tuning.worker_pool import threads_each, worker_pool

STUDIES = STATE / "tune"


@dataclass(frozen=True, slots=True)
class TuningOptions:
    """What one call asks for; a limit given here puts those of params.yaml aside, both of them."""

    trials: int | None = None
    minutes: float | None = None
    jobs: int = 1
    apply: bool = False

    def budget(self, params: Params) -> Budget:
        """Give the limits that count."""
        if self.trials is None and self.minutes is None:
            return Budget(params.tune.trials, params.tune.minutes)
        return Budget(self.trials, self.minutes)


@dataclass(frozen=True, slots=True)
class TuningOutcome:
    """What a search has found so far."""

    told: str
    """One sentence."""
    table: list[str]
    """The best trials, lines with a head."""
    best: TrialResult | None
    diff: str
    """What the best settings change in params.yaml; empty: nothing."""
    applied: bool
    interrupted: bool
    link: str
    """Where MLflow shows the search."""
    fault: StoreError | None
    """MLflow lacks something; the next call brings it there."""


@dataclass(frozen=True, slots=True)
class _Session:
    """What the parts of the act share."""

    params: Params
    root: Path
    study: Study
    run: TuningRun
    current: Settings
    tell: Callable[[str], None]


def tune(params: Params, root: Path, options: TuningOptions, tell: Callable[[str], None]) -> TuningOutcome:
    """Search, or go on with the search that was interrupted; the test split is not read.

    Raises:
        AtnetError: if inputs are missing, the store does not answer, or trials fail one after another.
    """
    space, config = params.tune.space, params.tune
    current = current_settings(space, params.train)
    within = distributions(space, current)
    key = _key(params, root)
    path = project_root(root) / STUDIES / f"{key}.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path.with_suffix(".lock"), timeout=0):
            study = Study(path, config, within, current)
            if options.trials == 0 and not study.ended():
                raise AtnetError(
                    "No trial is known for section train as it stands now, on these tokens. Run `atnet tune` first."
                )
            run = TuningRun(open_store(params.tracking, project_root(root)), key, root)
            desk = _Session(params, root, study, run, current, tell)
            return _search(desk, options)
    except Timeout:
        raise AtnetError("This search is being run already by another process. Wait for it, or end it.") from None


def _search(desk: _Session, options: TuningOptions) -> TuningOutcome:
    params, budget = desk.params, options.budget(desk.params)
    ended = desk.study.ended()
    desk.run.describe(_run_params(params))
    if ended:
        desk.tell(f"going on after {len(ended)} trials; {comparison(ended, params.tune.objective, desk.current)}")
    interrupted = False
    with (
        worker_pool(options.jobs, desk.root, threads=threads_each(options.jobs)) as workers,
        ProgressCallback(ended, params.tune.objective, budget.trials, desk.tell) as terminal,
    ):
        watcher = CallbackList([terminal, MlflowCallback(desk.run, ended, params.tune.objective)])
        try:
            with workers.interruptible():
                Search(desk.study, params.train, workers, watcher).run(budget)
        except KeyboardInterrupt:
            interrupted = True
        except AtnetError:
            _close(desk, "FAILED", "")
            raise
    return _outcome(desk, options, interrupted)


def _outcome(desk: _Session, options: TuningOptions, interrupted: bool) -> TuningOutcome:
    trials, objective = desk.study.ended(), desk.params.tune.objective
    best = next(iter(ranking(trials, objective)), None)
    changes = {} if best is None else _changes(best.settings, desk.current)
    before, after = _texts(desk, changes)
    diff = difference(before, after, name=str(PARAMS_FILE))
    _close(desk, "KILLED" if interrupted else "FINISHED", diff)
    write = options.apply and bool(diff) and not interrupted
    if write:
        write_text(desk.root / PARAMS_FILE, after)
    return TuningOutcome(
        told=comparison(trials, objective, desk.current),
        table=best_table(trials, objective, desk.current),
        best=best,
        diff=diff,
        applied=write,
        interrupted=interrupted,
        link=desk.run.link,
        fault=desk.run.fault,
    )


def _changes(settings: Settings, current: Settings) -> Settings:
    return {name: value for name, value in settings.items() if value != current[name]}


def _texts(desk: _Session, changes: Settings) -> tuple[str, str]:
    """Give params.yaml as it stands and with the changes in it."""
    path = desk.root / PARAMS_FILE
    if changes and load_params(path).train != desk.params.train:
        raise ConfigurationError(
            f"Section train of {path} has changed while the search ran, so what was found no longer fits it. "
            "Put it back as it was and run `atnet tune` again: the trials are kept."
        )
    # Not read_text(): the ends of lines must stay as they are.
    before = path.read_bytes().decode("utf-8")
    return before, applied(before, changes, source=str(path)) if changes else before


def _close(desk: _Session, status: str, diff: str) -> None:
    trials, config = desk.study.ended(), desk.params.tune
    within = distributions(config.space, desk.current)
    drawn = pictures(trials, config.objective, within, desk.study.importances(), desk.current)
    files = {f"plots/{name}": png for name, png in drawn.items()}
    files["trials.csv"] = _csv(trials, sorted(config.space)).encode()
    files["params.diff"] = diff.encode()
    note = run_note(trials, config.objective, desk.current, diff, sorted(config.space))
    desk.run.finish(status, note, files)


def _csv(trials: Sequence[TrialResult], names: Sequence[str]) -> str:
    written = StringIO(newline="")
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["trial", "state", "validation_loss", "validation_accuracy", "epochs", "seconds", *names])
    for trial in trials:
        kept: Mapping[str, Value] = trial.kept if trial.curve else {}
        values = [kept.get("validation_loss"), kept.get("validation_accuracy"), len(trial.curve), trial.seconds]
        table.writerow([trial.number, trial.state, *values, *(trial.settings[name] for name in names)])
    return written.getvalue()


def _run_params(params: Params) -> dict[str, str]:
    config = params.tune
    pruning = None if config.pruning is None else json.dumps(config.pruning.model_dump())
    # Not the limits: they may be others in the next call.
    plan = {"tune.objective": config.objective, "tune.seed": config.seed, "tune.pruning": pruning}
    space = {f"tune.space.{name}": json.dumps(entry.model_dump()) for name, entry in config.space.items()}
    current = {f"{SECTION}{name}": shown(value) for name, value in params.train.model_dump().items()}
    return {**{name: shown(value) for name, value in plan.items()}, **space, **current}


def _key(params: Params, root: Path) -> str:
    """Name the search by its data, its settings and the code that trains: only the budget may change."""
    config = params.tune.model_dump(exclude={"trials", "minutes"})
    settings = json.dumps({"tune": config, "train": params.train.model_dump()}, sort_keys=True)
    for path in training_inputs(root):
        with reading(path):
            path.stat()
    return study_key(settings, [*training_inputs(root), *training_code(root)])
