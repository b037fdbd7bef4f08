"""A release that is killed at any moment leaves the old champion or the new one; the next release finishes it."""

import multiprocessing
import random
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from mlflow.entities import LoggedModelStatus

from atnet.config import Params
from atnet.registry import versions
from atnet.registry.ledger import entries, find_faults
from atnet.registry.ledger_store import local_lines, read_ledger
from atnet.registry.transactions import PENDING_TAG
from atnet.registry.versions import CHAMPION, PREVIOUS, Registry, aliases, open_registry
from atnet.release import workflow
from atnet.release.gate.result import GateResult
from atnet.release.gate_inputs import Candidate
from atnet.release.model_card import ModelCard
from atnet.release.workflow import ReleaseOptions, ReleaseOutcome
from atnet.storage import load_params
from atnet.tracking.tags import finished_run
from tests.registered import gate_result, log_model, sha
from tests.settings import params_file
from tests.wordmodels import train_word_model, write_word_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = 30
MODELS = [f"model {number:03d}" for number in range(400)]
RELEASES_PER_KILL = 3
"""A kill comes at a random moment within the time of so many releases."""


def _release_one_after_the_other(root: str, first: int, ready: Event) -> None:
    """Release model after model until killed; only the gate's decision is given."""
    registry = open_registry(load_params(f"{root}/params.yaml").tracking, Path(root))
    ready.set()
    for name in MODELS[first:]:
        _release(registry, Path(root), name)


def _release(registry: Registry, root: Path, name: str) -> ReleaseOutcome:
    def publish(*_: object) -> str:
        if finished_run(registry.store, sha(name)) is None:
            log_model(registry, name)
        return sha(name)

    def run_gate(*arguments: object) -> GateResult:
        candidate = next(argument for argument in arguments if isinstance(argument, Candidate))
        champion = candidate.champion.sha256 if candidate.champion else None
        return gate_result("promote", candidate.challenger.sha256, champion)

    # This process is killed: nothing has to be restored.
    workflow._published_model = publish
    workflow.model_card = lambda *_: ModelCard("# Card", "<h1>Card</h1>")
    workflow.run_gate = run_gate
    return workflow.release(load_params(root / "params.yaml"), root, ReleaseOptions(), now=datetime.now(UTC))


@pytest.fixture
def root(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    params_file(tmp_path)
    return tmp_path


def _assert_aliases_are_usable(registry: Registry) -> None:
    """Check that every alias points at an existing version whose model was uploaded completely."""
    client = registry.store.client
    for alias, number in aliases(registry).items():
        version = versions.version(registry, number)
        logged = client.get_logged_model(version.model_id)
        assert logged.status == LoggedModelStatus.READY, alias
        assert client.list_logged_model_artifacts(version.model_id), alias


def test_a_kill_at_any_moment_leaves_a_champion_and_the_next_release_finishes(root: Path, params: Params) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_release_kill"])
    random_times = random.Random(11)
    registry = open_registry(params.tracking, root)
    start = time.monotonic()
    process = context.Process(target=_finish, args=(str(root), 0))
    process.start()
    process.join(300)
    seconds = RELEASES_PER_KILL * (time.monotonic() - start)
    champion, interrupted = 1, 0
    for kill in range(KILLS):
        ready = context.Event()
        process = context.Process(target=_release_one_after_the_other, args=(str(root), champion, ready))
        process.start()
        assert ready.wait(120)
        time.sleep(random_times.uniform(0, seconds))
        process.kill()
        process.join()

        current = aliases(registry)
        assert CHAMPION in current, f"no champion after kill {kill}"
        assert current[CHAMPION] >= champion
        _assert_aliases_are_usable(registry)
        champion = current[CHAMPION]
        interrupted += PENDING_TAG in versions.model_tags(registry)

    registered = len(versions.versions(registry))
    process = context.Process(target=_finish, args=(str(root), registered))
    process.start()
    process.join(300)
    assert process.exitcode == 0
    current = aliases(registry)
    assert current == {CHAMPION: registered + 1, PREVIOUS: current[CHAMPION] - 1}
    assert PENDING_TAG not in versions.model_tags(registry)
    assert find_faults(read_ledger(registry), local_lines(registry)) == []
    promoted = [entry.event.version for entry in entries(read_ledger(registry))]
    assert promoted == list(range(1, registered + 2)), "each promotion is in the ledger once, in order"
    shas = [version.sha256 for version in versions.versions(registry)]
    assert len(set(shas)) == len(shas), "no model was registered twice"
    print(f"{KILLS} kills, {interrupted} of them during a transaction, {registered} versions")


def _finish(root: str, position: int) -> None:
    registry = open_registry(load_params(f"{root}/params.yaml").tracking, Path(root))
    # The model that was being released at the last kill, then the next.
    for name in MODELS[max(0, position - 1) : position + 1]:
        _release(registry, Path(root), name)


def test_the_real_command_killed_at_any_moment_is_finished_by_running_it_again(root: Path, params: Params) -> None:
    params_file(root, {"release.behavior": {"suites": []}, "release": {"bootstrap_samples": 500}})
    write_word_project(root, params)
    train_word_model(root, params, rows=40)
    assert _atnet_release(root).wait(300) == 0
    registry = open_registry(params.tracking, root)
    random_times = random.Random(7)
    start = time.monotonic()
    train_word_model(root, params, rows=60)
    assert _atnet_release(root).wait(300) in (0, 3)
    duration = time.monotonic() - start
    champion = aliases(registry)[CHAMPION]
    train_word_model(root, params, rows=300)
    for _ in range(4):
        process = _atnet_release(root)
        time.sleep(random_times.uniform(0.2, 1.0) * duration)
        process.kill()
        process.wait()
        assert aliases(registry)[CHAMPION] in (champion, 3)
        _assert_aliases_are_usable(registry)
    assert _atnet_release(root).wait(300) == 0
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: champion}
    assert len(versions.versions(registry)) == 3
    assert find_faults(read_ledger(registry), local_lines(registry)) == []


def _atnet_release(root: Path) -> "subprocess.Popen[bytes]":
    with (root / ".release.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "atnet.cli", "release"], cwd=root, stdout=log, stderr=log)
