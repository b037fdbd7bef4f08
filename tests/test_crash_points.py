"""Every command that changes the registry, killed after each of its writes and run again: it does its work once."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from atnet.cli.app import command_line
from atnet.registry import versions
from atnet.registry.ledger import find_faults
from atnet.registry.ledger_store import local_lines, read_ledger
from atnet.registry.transactions import PENDING_TAG
from atnet.registry.versions import aliases
from atnet.release.command import INTERRUPTED
from tests.killing import Killed, killed_after
from tests.registered import registered
from tests.releases import ReleaseProject, release_project


@dataclass(frozen=True)
class Outcome:
    """What a command left, with its exit code."""

    exit_code: int
    aliases: dict[str, int]
    states: dict[int, str]
    actions: list[tuple[str, int | None]]


@dataclass(frozen=True)
class Case:
    """A command and what happened before it."""

    command: tuple[str, ...]
    prepare: Callable[[ReleaseProject], object]
    exit_code: int
    aliases: dict[str, int]


def _release_two(project: ReleaseProject) -> None:
    project.release("one")
    project.release("two")


def _publish_second(project: ReleaseProject) -> None:
    project.release("one")
    project.model = "two"
    project.publish()


def _publish_second_to_be_rejected(project: ReleaseProject) -> None:
    _publish_second(project)
    project.decision = "reject"


def _publish_second_to_be_approved(project: ReleaseProject) -> None:
    _publish_second(project)
    project.require_approval()


def _pending(project: ReleaseProject) -> None:
    project.release("one")
    project.require_approval()
    project.release("two")


def _release_three(project: ReleaseProject) -> None:
    _release_two(project)
    project.release("three")


def _release_two_and_register_more(project: ReleaseProject) -> None:
    _release_two(project)
    for name in ("three", "four", "five"):
        registered(project.registry, name)


CASES = {
    "first release": Case(("release",), lambda project: project.publish(), 0, {"champion": 1}),
    "promoted": Case(("release",), _publish_second, 0, {"champion": 2, "previous": 1}),
    "rejected": Case(("release",), _publish_second_to_be_rejected, 3, {"champion": 1}),
    "pending approval": Case(("release",), _publish_second_to_be_approved, 4, {"champion": 1, "challenger": 2}),
    "approve": Case(("approve",), _pending, 0, {"champion": 2, "previous": 1}),
    "reject": Case(("reject", "2", "--reason", "too rude"), _pending, 0, {"champion": 1}),
    "rollback": Case(("rollback",), _release_three, 0, {"champion": 2, "previous": 1}),
    "rollback to": Case(("rollback", "--to", "1"), _release_three, 0, {"champion": 1}),
    "prune": Case(("prune", "--keep", "1", "--yes"), _release_two_and_register_more, 0, {"champion": 2, "previous": 1}),
}


class Snapshot:
    """The store and the local state of a project at one time."""

    def __init__(self, project: ReleaseProject, folder: Path) -> None:
        self._database, self._state = project.root / "mlflow.db", project.root / ".atnet"
        self._copy, self._state_copy = folder / "snapshot.db", folder / "snapshot"
        _copy_database(self._database, self._copy)
        if self._state.exists():
            shutil.copytree(self._state, self._state_copy)

    def restore(self) -> None:
        # Through SQLite, because MLflow keeps connections to the file open.
        _copy_database(self._copy, self._database)
        shutil.rmtree(self._state, ignore_errors=True)
        if self._state_copy.exists():
            shutil.copytree(self._state_copy, self._state)


def _copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)


def _run(project: ReleaseProject, command: tuple[str, ...]) -> Outcome:
    result = CliRunner().invoke(command_line(command[0]), list(command), catch_exceptions=False)
    states = {version.number: version.state for version in versions.versions(project.registry)}
    return Outcome(result.exit_code, aliases(project.registry), states, project.actions())


def _open_runs(project: ReleaseProject) -> list[str]:
    client = project.registry.store.client
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [run.info.run_name for run in client.search_runs(experiments, "attributes.status = 'RUNNING'")]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_command_killed_after_any_write_and_run_again_does_its_work_once(
    name: str, tmp_path_factory: pytest.TempPathFactory, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES[name]
    project = release_project(tmp_path_factory.mktemp("project"), empty_store, monkeypatch)
    case.prepare(project)
    lines_before = len(project.actions())
    snapshot = Snapshot(project, tmp_path_factory.mktemp("snapshot"))

    with killed_after(None) as writes:
        expected = _run(project, case.command)
    assert (expected.exit_code, expected.aliases) == (case.exit_code, case.aliases)
    assert len(expected.actions) == lines_before + 1
    assert len(writes) >= 5, "the writes are counted"

    for write in range(1, len(writes) + 1):
        snapshot.restore()
        with killed_after(write), pytest.raises(Killed):
            _run(project, case.command)
        moment = f"killed after write {write} of {len(writes)}, {writes[write - 1]}"
        assert _run(project, case.command) == expected, moment
        assert find_faults(read_ledger(project.registry), local_lines(project.registry)) == [], moment
        assert PENDING_TAG not in versions.model_tags(project.registry), moment
        assert list((project.root / INTERRUPTED).iterdir()) == [], moment
        assert _open_runs(project) == [], moment
