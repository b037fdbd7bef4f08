"""The search with a worker_pool that trains nothing: what is tried, given up, counted, and gone on with."""

import shutil
import signal
from collections import deque

import optuna
import pytest
import sqlalchemy

from atnet.errors import AtnetError, StoreError
from atnet.tuning.search import Budget, Search
from atnet.tuning.space import current_settings, distributions
from atnet.tuning.study import Study, study_key
from atnet.tuning.trials import current_trial, ranking
from atnet.tuning.worker_pool import SubprocessPool, WorkerMessage, threads_each
from tests.settings import params_with

SPACE = {
    "train.dropout": {"low": 0.0, "high": 0.6, "log": False},
    "train.learning_rate": {"low": 0.0001, "high": 0.1, "log": True},
}
EPOCHS = 4
TRIALS = 12
"""Two more than are drawn at random before the sampler learns from them."""


@pytest.fixture(scope="module", autouse=True)
def _no_waiting_for_the_disk():
    def relax(connection, record):
        connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", relax)
    yield
    sqlalchemy.event.remove(sqlalchemy.Engine, "connect", relax)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A storage without studies: making its tables takes a second."""
    path = tmp_path_factory.mktemp("empty") / "a.db"
    optuna.storages.RDBStorage(f"sqlite:///{path}")
    return path


@pytest.fixture
def new(tmp_path, empty):
    """Give the path of a study that has not begun; all have one name, as those of one search have."""

    def path(folder="one"):
        (tmp_path / folder).mkdir()
        return shutil.copy(empty, tmp_path / folder / "a.db")

    return path


class FakeCrew:
    """Answers at once: the loss is the distance of the dropout from 0.2, falling to it over the epochs."""

    def __init__(self, size=1, *, interrupt_after=None, failing=()):
        self.size, self.trained, self.failing = size, 0, failing
        self._waiting: deque = deque()
        self._epochs: dict = {}
        self._left = interrupt_after

    def train(self, worker, config):
        self.trained += 1
        self._epochs[worker] = (abs(config.dropout - 0.2), 0)
        if self.trained - 1 in self.failing:
            self._waiting.append(WorkerMessage(worker, None))
        else:
            self._next(worker)

    def answer(self, worker, go):
        if go:
            self._next(worker)

    def wait(self, seconds):
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        return self._waiting.popleft()

    def last_log_line(self, worker):
        return "out of memory"

    def _next(self, worker):
        loss, done = self._epochs[worker]
        if done == EPOCHS:
            self._waiting.append(WorkerMessage(worker, {"done": True}))
            return
        self._epochs[worker] = (loss, done + 1)
        loss = loss + 0.1 / (done + 1)
        epoch = {"epoch": done + 1, "validation_loss": loss, "validation_accuracy": 1 - loss, "train_loss": loss}
        self._waiting.append(WorkerMessage(worker, {"epoch": epoch, "last": done + 1 == EPOCHS}))


class Notebook:
    def __init__(self):
        self.lines = []

    def started(self, number, settings):
        self.lines.append(("started", number))

    def epoch(self, number, epoch):
        pass

    def ended(self, trial):
        self.lines.append((trial.state, trial.number))

    def cut_short(self, number):
        self.lines.append(("cut short", number))


def setup(path, **tune):
    params = params_with({"tune": {"space": SPACE, **tune}})
    current = current_settings(params.tune.space, params.train)
    return params, current, Study(path, params.tune, distributions(params.tune.space, current), current)


def searched(path, trials, worker_pool=None, *, minutes=None, clock=None, **tune):
    params, current, study = setup(path, **tune)
    notebook = Notebook()
    more = {} if clock is None else {"clock": clock}
    Search(study, params.train, worker_pool or FakeCrew(), notebook, **more).run(Budget(trials, minutes))
    return study.ended(), current, notebook


def outcomes(trials):
    return [(trial.settings, trial.state, trial.curve) for trial in trials]


def test_the_search_begins_with_the_current_values_and_never_ends_below_them(new):
    trials, current, _ = searched(new(), 12)
    assert trials[0].settings == current
    assert len(trials) == 12
    best = ranking(trials, "validation_loss")[0]
    assert best.kept["validation_loss"] <= current_trial(trials, current).kept["validation_loss"]
    assert abs(best.settings["train.dropout"] - 0.2) < 0.1


def test_trials_worse_than_the_median_are_given_up_early(new):
    trials, _, _ = searched(new(), TRIALS, pruning={"startup_trials": 3, "warmup_epochs": 2})
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert {len(trial.curve) for trial in pruned} <= {2, 3}
    whole, _, _ = searched(new("two"), 5, pruning=None)
    assert {trial.state for trial in whole} == {"complete"}


def test_the_same_seed_searches_the_same_and_another_does_not(new):
    first = searched(new("one"), TRIALS)[0]
    again = searched(new("two"), TRIALS)[0]
    other = searched(new("three"), 3, seed=14)[0]
    assert outcomes(first) == outcomes(again)
    assert outcomes(first)[1:3] != outcomes(other)[1:]


def test_an_interrupted_search_goes_on_as_if_it_had_not_been(new):
    whole = searched(new("whole"), TRIALS)[0]
    path = new("parted")
    for steps in (1, 7, 30):
        with pytest.raises(KeyboardInterrupt):
            searched(path, TRIALS, FakeCrew(interrupt_after=steps))
    assert outcomes(searched(path, TRIALS)[0]) == outcomes(whole)


def test_what_a_kill_left_running_is_tried_again_first(new):
    path = new()
    _, _, study = setup(path)
    cut = study.ask()
    trials, _, notebook = searched(path, 2)
    assert trials[0].settings == cut.settings
    assert trials[0].number == cut.number + 1
    assert notebook.lines[0] == ("started", cut.number + 1)


def test_a_finished_search_trains_nothing_more_and_a_larger_budget_goes_on(new):
    path = new()
    searched(path, 3)
    worker_pool = FakeCrew()
    assert len(searched(path, 3, worker_pool)[0]) == 3
    assert worker_pool.trained == 0
    assert len(searched(path, 5, worker_pool)[0]) == 5
    assert worker_pool.trained == 2


def test_the_time_limit_stops_running_trials_and_puts_them_back(new):
    now = iter(range(0, 100000, 10))
    worker_pool = FakeCrew()
    worker_pool.wait = lambda seconds, wait=worker_pool.wait: wait(seconds) if seconds else None
    trials, _, notebook = searched(new(), None, worker_pool, minutes=5, clock=lambda: float(next(now)))
    assert 0 < len(trials) < 40
    assert notebook.lines[-1][0] in ("cut short", "complete", "pruned")
    assert all(trial.state != "failed" for trial in trials)


def test_several_workers_share_one_study(new):
    trials, current, _ = searched(new(), 9, FakeCrew(size=3))
    assert sorted(trial.number for trial in trials) == list(range(9))
    assert current_trial(trials, current)


def test_a_failed_trial_is_told_and_does_not_count(new):
    trials, _, _ = searched(new(), 4, FakeCrew(failing={2}))
    assert [trial.state for trial in trials].count("failed") == 1
    assert "out of memory" in trials[2].note
    assert len(trials) == 5


def test_the_search_stops_where_the_current_values_cannot_be_trained(new):
    with pytest.raises(AtnetError, match=r"Trial 0 failed: .*out of memory"):
        searched(new(), 4, FakeCrew(failing={0}))


def test_settings_tried_before_are_not_trained_again(new):
    space = {"train.filters": {"choices": [8, 16]}, "train.wide": {"choices": [True, False]}}
    worker_pool = FakeCrew()
    trials, _, _ = searched(new(), None, worker_pool, minutes=60, space=space)
    assert worker_pool.trained <= 6
    assert any("same as trial" in trial.note for trial in trials)


def test_a_file_that_is_no_study_is_named(tmp_path):
    (tmp_path / "a.db").write_text("something else, and long enough to be looked at as a header of a database")
    with pytest.raises(StoreError, match=r"a\.db is no study.*Move it aside"):
        setup(tmp_path / "a.db")


def test_an_interrupt_is_taken_where_the_search_waits_and_nowhere_else(tmp_path):
    processes = SubprocessPool(1, tmp_path, threads=1)
    with processes.interruptible():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            processes.wait(1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert processes.wait(0) is None


def test_the_key_follows_settings_and_files(tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    first.write_text("a")
    second.write_text("b")
    keys = {study_key("s", [first]), study_key("t", [first]), study_key("s", [second]), study_key("s", [first, second])}
    assert len(keys) == 4


def test_one_process_keeps_the_threads_of_the_train_stage():
    assert threads_each(1) is None
    assert threads_each(2, cores=8) == 4
    assert threads_each(4, cores=2) == 1


def test_a_worker_that_cannot_start_is_told_with_its_last_words(tmp_path, params):
    processes = SubprocessPool(1, tmp_path, threads=1)
    try:
        processes.train(0, params.train)
        said = processes.wait(60)
        assert said == WorkerMessage(0, None)
        assert "tokenizer.json" in processes.last_log_line(0)
    finally:
        processes.close()
