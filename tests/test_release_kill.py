"""A release that is killed at any moment leaves the old champion or the new one, and is finished by the next."""

import multiprocessing
import random
import shutil
import subprocess
import sys
import time
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
from atnet.release.records import Card
from atnet.release.workflow import ReleaseOutcome
from atnet.storage import load_params
from atnet.tracking.tags import finished_run
from tests.registered import log_model, sha, verdict
from tests.settings import params_file
from tests.wordmodels import train_word_model, write_word_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS = 30
MODELS = [f"model {number:03d}" for number in range(400)]
SECONDS = 2.5
"""In which the moment of a kill lies; a release without its judgment takes a fraction of it."""


def _release_one_after_the_other(root: str, first: int, ready: Event) -> None:
    """Release model after model until killed; the judgment is given, all else is real."""
    registry = open_registry(load_params(f"{root}/params.yaml").tracking, Path(root))
    ready.set()
    for name in MODELS[first:]:
        _release(registry, Path(root), name)


def _release(registry: Registry, root: Path, name: str) -> ReleaseOutcome:
    def publish(*_: object) -> None:
        if finished_run(registry.store, sha(name)) is None:
            log_model(registry, sha(name))

    # In a process of its own, which is killed: nothing is to be put back.
    workflow.publish_from_files = publish  # type: ignore[assignment]
    workflow._model_sha256 = lambda _: sha(name)
    workflow.model_card = lambda *_: Card("# Card", "<h1>Card</h1>")  # type: ignore[assignment]
    workflow.weigh = lambda *_, challenger, champion, **__: verdict(  # type: ignore[assignment]
        "promote", challenger.sha256, champion.sha256 if champion else None
    )
    return workflow.release(load_params(root / "params.yaml"), root, tell=lambda _: None)


@pytest.fixture
def root(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    params_file(tmp_path)
    return tmp_path


def _see_that_aliases_are_whole(registry: Registry) -> None:
    """Every alias leads to a version that is there, with a model that was uploaded whole."""
    client = registry.store.client
    for alias, number in aliases(registry).items():
        version = versions.version(registry, number)
        logged = client.get_logged_model(version.model_id)
        assert logged.status == LoggedModelStatus.READY, alias
        assert client.list_logged_model_artifacts(version.model_id), alias


def test_a_kill_at_any_moment_leaves_a_champion_and_the_next_release_finishes(root: Path, params: Params) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.test_release_kill"])
    chance = random.Random(11)
    registry = open_registry(params.tracking, root)
    champion, cut_short = 0, 0
    for kill in range(KILLS):
        ready = context.Event()
        process = context.Process(target=_release_one_after_the_other, args=(str(root), champion, ready))
        process.start()
        assert ready.wait(120)
        time.sleep(chance.uniform(0, SECONDS))
        process.kill()
        process.join()

        held = aliases(registry)
        assert kill == 0 or CHAMPION in held, f"no champion after kill {kill}"
        assert held.get(CHAMPION, 0) >= champion
        _see_that_aliases_are_whole(registry)
        champion = held.get(CHAMPION, 0)
        cut_short += PENDING_TAG in versions.model_tags(registry)

    known = len(versions.versions(registry))
    process = context.Process(target=_finish, args=(str(root), known))
    process.start()
    process.join(300)
    assert process.exitcode == 0
    held = aliases(registry)
    assert held == {CHAMPION: known + 1, PREVIOUS: held[CHAMPION] - 1}
    assert PENDING_TAG not in versions.model_tags(registry)
    assert find_faults(read_ledger(registry), local_lines(registry)) == []
    promoted = [entry.event.version for entry in entries(read_ledger(registry))]
    assert promoted == list(range(1, known + 2)), "each promotion stands in the ledger once, in order"
    shas = [one.sha256 for one in versions.versions(registry)]
    assert len(set(shas)) == len(shas), "no model was registered twice"
    print(f"{KILLS} kills, {cut_short} of them in the middle of a move, {known} versions")


def _finish(root: str, position: int) -> None:
    registry = open_registry(load_params(f"{root}/params.yaml").tracking, Path(root))
    # The model that was being released when the last kill came, then the next.
    for name in MODELS[max(0, position - 1) : position + 1]:
        _release(registry, Path(root), name)


def test_the_real_command_killed_at_any_moment_is_finished_by_running_it_again(root: Path, params: Params) -> None:
    params_file(root, {"release.behavior": {"suites": []}, "release": {"bootstrap_samples": 500}})
    write_word_project(root, params)
    train_word_model(root, params, rows=40)
    assert _atnet_release(root).wait(300) == 0
    registry = open_registry(params.tracking, root)
    chance = random.Random(7)
    start = time.monotonic()
    train_word_model(root, params, rows=60)
    assert _atnet_release(root).wait(300) in (0, 3)
    whole = time.monotonic() - start
    champion = aliases(registry)[CHAMPION]
    train_word_model(root, params, rows=300)
    for _ in range(4):
        process = _atnet_release(root)
        time.sleep(chance.uniform(0.2, 1.0) * whole)
        process.kill()
        process.wait()
        assert aliases(registry)[CHAMPION] in (champion, 3)
        _see_that_aliases_are_whole(registry)
    assert _atnet_release(root).wait(300) == 0
    assert aliases(registry) == {CHAMPION: 3, PREVIOUS: champion}
    assert len(versions.versions(registry)) == 3
    assert find_faults(read_ledger(registry), local_lines(registry)) == []


def _atnet_release(root: Path) -> "subprocess.Popen[bytes]":
    with (root / ".release.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "atnet.cli", "release"], cwd=root, stdout=log, stderr=log)
