"""The search with a pool that trains nothing: which trials run, are pruned, count, and are repeated."""

import shutil
import signal
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from atnet.config import Params, TrainConfig
from atnet.environment import threads_per_process
from atnet.errors import AtnetError, StoreError
from atnet.storage import csv_text
from atnet.tuning.search import Budget, Search
from atnet.tuning.space import Settings, current_settings, distributions
from atnet.tuning.study import Study, study_key
from atnet.tuning.trial_tables import search_note, trials_frame
from atnet.tuning.trials import EpochHistory, TrialResult, current_trial, ranking
from atnet.tuning.worker_pool import SubprocessPool, WorkerMessage
from tests.settings import params_with

pytestmark = pytest.mark.slow

SPACE = {
    "train.dropout": {"low": 0.0, "high": 0.6, "log": False},
    "train.learning_rate": {"low": 0.0001, "high": 0.1, "log": True},
}
EPOCHS = 4
TRIALS = 12
"""Two more than are sampled at random before the sampler learns from them."""
NewStudy = Callable[..., Path]


@pytest.fixture(scope="module", autouse=True)
def _do_not_wait_for_the_disk() -> Iterator[None]:
    def relax(connection: Any, record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", relax)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", relax)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a storage without studies: its tables take a second."""
    path = tmp_path_factory.mktemp("empty") / "a.db"
    optuna.storages.RDBStorage(f"sqlite:///{path}")
    return path


@pytest.fixture
def new(tmp_path: Path, empty: Path) -> NewStudy:
    """Return the path of a new study; all have the same name, like the studies of one search."""

    def path(folder: str = "first") -> Path:
        (tmp_path / folder).mkdir()
        return Path(shutil.copy(empty, tmp_path / folder / "a.db"))

    return path


class FakePool:
    """Answers at once: the loss is the distance of the dropout from 0.2, approached over the epochs."""

    def __init__(self, size: int = 1, *, interrupt_after: int | None = None, failing: Collection[int] = ()) -> None:
        self.size, self.trained, self.failing = size, 0, failing
        self._waiting: deque[WorkerMessage] = deque()
        self._epochs: dict[int, tuple[float, int]] = {}
        self._waits_left = interrupt_after

    def start_training(self, worker: int, config: TrainConfig) -> None:
        self.trained += 1
        self._epochs[worker] = (abs(config.dropout - 0.2), 0)
        if self.trained - 1 in self.failing:
            self._waiting.append(WorkerMessage(worker, None))
        else:
            self._train_epoch(worker)

    def reply(self, worker: int, *, proceed: bool) -> None:
        if proceed:
            self._train_epoch(worker)

    def wait(self, seconds: float | None) -> WorkerMessage | None:
        if self._waits_left is not None:
            self._waits_left -= 1
            if self._waits_left < 0:
                raise KeyboardInterrupt
        return self._waiting.popleft()

    def end_reason(self, worker: int) -> str:
        return "killed by SIGKILL, perhaps because memory ran out"

    def _train_epoch(self, worker: int) -> None:
        loss, done = self._epochs[worker]
        if done == EPOCHS:
            self._waiting.append(WorkerMessage(worker, {"done": True}))
            return
        self._epochs[worker] = (loss, done + 1)
        loss = loss + 0.1 / (done + 1)
        epoch = {"epoch": done + 1, "validation_loss": loss, "validation_accuracy": 1 - loss, "train_loss": loss}
        self._waiting.append(WorkerMessage(worker, {"epoch": epoch, "last": done + 1 == EPOCHS}))


class RecordingCallback:
    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def on_trial_begin(self, number: int, settings: Settings) -> None:
        self.events.append(("begin", number))

    def on_epoch_end(self, number: int, epoch: Mapping[str, float]) -> None:
        pass

    def on_trial_end(self, trial: TrialResult) -> None:
        self.events.append((trial.status, trial.number))

    def on_trial_interrupt(self, number: int) -> None:
        self.events.append(("interrupted", number))


def open_study(path: Path, **tune: Any) -> tuple[Params, Settings, Study]:
    params = params_with({"tune": {"space": SPACE, **tune}})
    current = current_settings(params.tune.space, params.train)
    return params, current, Study(path, params.tune, distributions(params.tune.space, current), current)


def search(
    path: Path,
    trials: int | None,
    pool: FakePool | None = None,
    *,
    minutes: float | None = None,
    clock: Callable[[], float] | None = None,
    **tune: Any,
) -> tuple[list[TrialResult], Settings, RecordingCallback]:
    params, current, study = open_study(path, **tune)
    callback = RecordingCallback()
    options: dict[str, Any] = {} if clock is None else {"clock": clock}
    Search(study, params.train, pool or FakePool(), callback, **options).run(Budget(trials, minutes))
    return study.results(), current, callback


def results_of(trials: list[TrialResult]) -> list[tuple[Settings, str, EpochHistory]]:
    return [(trial.settings, trial.status, trial.history) for trial in trials]


def test_the_search_starts_from_the_current_values_and_never_ends_below_them(new: NewStudy) -> None:
    trials, current, _ = search(new(), 12)
    assert trials[0].settings == current
    assert len(trials) == 12
    best, reference = ranking(trials, "validation_loss")[0], current_trial(trials, current)
    assert reference is not None
    assert best.best_epoch["validation_loss"] <= reference.best_epoch["validation_loss"]
    dropout = best.settings["train.dropout"]
    assert isinstance(dropout, float)
    assert abs(dropout - 0.2) < 0.1


def test_trials_worse_than_the_median_are_pruned(new: NewStudy) -> None:
    trials, _, _ = search(new(), TRIALS, pruning={"startup_trials": 3, "warmup_epochs": 2})
    pruned = [trial for trial in trials if trial.status == "pruned"]
    assert pruned
    assert {len(trial.history) for trial in pruned} <= {2, 3}
    unpruned, _, _ = search(new("second"), 5, pruning=None)
    assert {trial.status for trial in unpruned} == {"complete"}


def test_the_same_seed_gives_the_same_trials_and_another_seed_does_not(new: NewStudy) -> None:
    first = search(new("first"), TRIALS)[0]
    second = search(new("second"), TRIALS)[0]
    other = search(new("third"), 3, seed=14)[0]
    assert results_of(first) == results_of(second)
    assert results_of(first)[1:3] != results_of(other)[1:]


def test_an_interrupted_search_gives_the_same_trials_as_an_uninterrupted_one(new: NewStudy) -> None:
    uninterrupted = search(new("whole"), TRIALS)[0]
    path = new("interrupted")
    for waits in (1, 7, 30):
        with pytest.raises(KeyboardInterrupt):
            search(path, TRIALS, FakePool(interrupt_after=waits))
    assert results_of(search(path, TRIALS)[0]) == results_of(uninterrupted)


def test_a_trial_that_a_kill_left_running_is_repeated_first(new: NewStudy) -> None:
    path = new()
    _, _, study = open_study(path)
    interrupted = study.ask()
    trials, _, callback = search(path, 2)
    assert trials[0].settings == interrupted.settings
    assert trials[0].number == interrupted.number + 1
    assert callback.events[0] == ("begin", interrupted.number + 1)


def test_a_finished_search_trains_nothing_more_and_a_larger_budget_continues_it(new: NewStudy) -> None:
    path = new()
    search(path, 3)
    pool = FakePool()
    assert len(search(path, 3, pool)[0]) == 3
    assert pool.trained == 0
    assert len(search(path, 5, pool)[0]) == 5
    assert pool.trained == 2


def test_the_time_limit_stops_running_trials_and_queues_them_again(new: NewStudy) -> None:
    now = iter(range(0, 100000, 10))

    class PatientPool(FakePool):
        def wait(self, seconds: float | None) -> WorkerMessage | None:
            return super().wait(seconds) if seconds else None

    trials, _, callback = search(new(), None, PatientPool(), minutes=5, clock=lambda: float(next(now)))
    assert 0 < len(trials) < 40
    assert callback.events[-1][0] in ("interrupted", "complete", "pruned")
    assert all(trial.status != "failed" for trial in trials)


def test_several_workers_share_one_study(new: NewStudy) -> None:
    trials, current, _ = search(new(), 9, FakePool(size=3))
    assert sorted(trial.number for trial in trials) == list(range(9))
    assert current_trial(trials, current)


def test_a_failed_trial_is_reported_and_does_not_count(new: NewStudy) -> None:
    trials, _, _ = search(new(), 4, FakePool(failing={2}))
    assert [trial.status for trial in trials].count("failed") == 1
    assert "memory ran out" in trials[2].note
    assert len(trials) == 5


def test_the_search_stops_if_the_current_values_cannot_be_trained(new: NewStudy) -> None:
    with pytest.raises(AtnetError, match=r"Trial 0 failed: .*memory ran out"):
        search(new(), 4, FakePool(failing={0}))


def test_settings_tried_before_are_not_trained_again(new: NewStudy) -> None:
    space = {"train.filters": {"choices": [8, 16]}, "train.wide": {"choices": [True, False]}}
    pool = FakePool()
    trials, _, _ = search(new(), None, pool, minutes=60, space=space)
    assert pool.trained <= 6
    assert any("same as trial" in trial.note for trial in trials)


def test_a_file_that_is_not_a_study_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("something else, and long enough to be read as the header of a database")
    with pytest.raises(StoreError, match=r"a\.db is not a usable study.*Move it aside"):
        open_study(tmp_path / "a.db")


def test_an_interrupt_arrives_while_the_search_waits_and_nowhere_else(tmp_path: Path) -> None:
    pool = SubprocessPool(1, tmp_path, threads=1)
    with pool.interruptible():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            pool.wait(1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert pool.wait(0) is None


def test_the_key_of_a_study_depends_on_settings_and_files(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("a")
    second.write_text("b")
    keys = {study_key("s", [first]), study_key("t", [first]), study_key("s", [second]), study_key("s", [first, second])}
    assert len(keys) == 4


def test_a_single_worker_uses_the_threads_of_the_train_stage() -> None:
    assert threads_per_process(1) is None
    assert threads_per_process(2, cores=8) == 4
    assert threads_per_process(4, cores=2) == 1


def test_a_worker_that_cannot_start_reports_its_last_log_line(tmp_path: Path, params: Params) -> None:
    pool = SubprocessPool(1, tmp_path, threads=1)
    try:
        pool.start_training(0, params.train)
        assert pool.wait(60) == WorkerMessage(0, None)
        assert "tokenizer.json" in pool.end_reason(0)
    finally:
        pool.close()


def test_tables_and_notes_of_a_search_run_nothing() -> None:
    choice = "=HYPERLINK(1)<script>|"
    trial = TrialResult(
        0,
        {"train.schedule": choice, "train.filters": 8, "train.dropout": 0.123456789},
        "complete",
        ({"epoch": 1, "validation_loss": 0.5, "validation_accuracy": 0.8},),
        1.5,
    )
    empty_trial = TrialResult(1, {**trial.settings, "train.filters": None}, "failed", (), 0.1, "no memory")
    written = csv_text(trials_frame([trial, empty_trial], sorted(trial.settings)))
    assert written.splitlines() == [
        "trial,status,validation_loss,validation_accuracy,epochs,seconds,train.dropout,train.filters,train.schedule",
        f"0,complete,0.5,0.8,1,1.5,0.123456789,8,'{choice}",
        f"1,failed,,,0,0.1,0.123456789,,'{choice}",
    ]
    note = search_note([trial], "validation_loss", trial.settings, "```\n+a\n", sorted(trial.settings))
    assert "<script>" not in note
    assert "````diff" in note
