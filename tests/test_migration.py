"""`atnet migrate-store`: a SQLite store with a release history is copied to a real MLflow server."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from typer.testing import CliRunner

from atnet.cli.app import command_line
from atnet.errors import ReleaseError, StoreError
from atnet.migration import migrate
from atnet.registry.artifacts import verified_files
from atnet.registry.ledger import find_faults
from atnet.registry.ledger_store import read_ledger
from atnet.registry.versions import Registry, Version, aliases, open_registry, open_registry_copy, version, versions
from atnet.tracking.store_copy import COMPLETE_TAG, ORIGIN_TAG, StoreCopy
from tests.releases import ReleaseProject, release_project
from tests.servers import mlflow_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def verify(registry: Registry, entry: Version) -> int:
    """Stand in for loading: the models of this test are files with recorded hashes, but no networks."""
    with verified_files(registry, entry) as folder:
        return len(list(folder.rglob("*")))


@pytest.fixture
def project(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> ReleaseProject:
    """Four releases, of which one is rejected, a rollback, and a pruned version."""
    monkeypatch.setattr(migrate, "smoke_test", verify)
    (tmp_path / "project").mkdir()
    project = release_project(tmp_path / "project", empty_store, monkeypatch)
    project.release("one")
    project.release("two", "reject")
    project.release("three")
    project.release("four")
    project.rollback()
    project.prune(keep=1)
    _describe_a_training(project.registry)
    return project


def _describe_a_training(registry: Registry) -> None:
    """Give the run of version 1 all that a training's run has."""
    client, run_id = registry.store.client, version(registry, 1).run_id
    points = [Metric("curve/loss", 1 / step, 1_700_000_000_000 + step, step) for step in range(1, 1200)]
    client.log_batch(run_id, params=[Param(f"p{number}", str(number)) for number in range(150)])
    client.log_batch(run_id, metrics=points[:600])
    client.log_batch(run_id, metrics=points[600:])
    dataset = Dataset(name="train", digest="d" * 32, source_type="local", source="data/own.csv")
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
    client.set_tag(run_id, "mlflow.note.content", f"See run {run_id}.")
    client.log_text(run_id, "text\n", "plots/a.txt")


@pytest.fixture
def server(tmp_path: Path, project: ReleaseProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server", os.environ) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield address


def test_everything_is_on_the_server_after_an_interruption_and_a_second_call(
    project: ReleaseProject, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = project.root / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        before = list(connection.iterdump())
    _interrupt_third_run(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        migrate.migrate_store(project.params, project.root, database)
    monkeypatch.undo()
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setattr(migrate, "smoke_test", verify)
    printed = CliRunner().invoke(command_line("migrate-store"), ["migrate-store"])
    assert printed.exit_code == 0, printed.stdout
    assert printed.stdout.count("\n") == 1
    assert "(2 were there already); 3 versions" in printed.stdout

    source = open_registry_copy(project.params.tracking, database, project.root)
    target = open_registry(project.params.tracking, project.root)
    assert target.store.is_server
    assert aliases(target) == aliases(source) != {}
    assert [entry.number for entry in versions(target)] == [1, 3, 4], "the number of a pruned version is not used again"
    assert [entry.sha256 for entry in versions(target)] == [entry.sha256 for entry in versions(source)]
    assert [entry.state for entry in versions(target)] == [entry.state for entry in versions(source)]
    ledger = read_ledger(target)
    assert ledger == read_ledger(source)
    assert find_faults(ledger, list(ledger.lines.values())) == []
    _compare_run(source, target)

    again = migrate.migrate_store(project.params, project.root, database)
    assert (again.copied_runs, again.files) == (0, 0)
    with closing(sqlite3.connect(database)) as connection:
        assert list(connection.iterdump()) == before, "the file is not changed"


def _interrupt_third_run(monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = StoreCopy._copy_links, []

    def interrupt(copy: StoreCopy, *arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        original(copy, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(StoreCopy, "_copy_links", interrupt)


def _compare_run(source: Registry, target: Registry) -> None:
    original = source.store.client.get_run(version(source, 1).run_id)
    copy = target.store.client.get_run(version(target, 1).run_id)
    assert copy.data.params == original.data.params
    assert copy.data.metrics == original.data.metrics
    assert (copy.info.start_time, copy.info.end_time) == (original.info.start_time, original.info.end_time)
    assert copy.info.status == "FINISHED"
    histories = [
        [
            (point.step, point.value, point.timestamp)
            for point in client.get_metric_history(run.info.run_id, "curve/loss")
        ]
        for client, run in ((source.store.client, original), (target.store.client, copy))
    ]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 1199
    assert [entry.dataset.digest for entry in copy.inputs.dataset_inputs] == ["d" * 32]
    assert copy.outputs.model_outputs[0].model_id == version(target, 1).model_id
    assert copy.data.tags["mlflow.note.content"] == f"See run {copy.info.run_id}."
    assert copy.data.tags[ORIGIN_TAG] == original.info.run_id
    assert COMPLETE_TAG in copy.data.tags
    assert copy.info.artifact_uri.startswith("mlflow-artifacts:/")


def test_a_server_with_another_version_is_not_touched(project: ReleaseProject, server: str) -> None:
    MlflowClient(tracking_uri=server).create_registered_model("atnet")
    MlflowClient(tracking_uri=server).create_model_version("atnet", "mlflow-artifacts:/somewhere")
    with pytest.raises(ReleaseError, match="already has another version 1 of atnet"):
        migrate.migrate_store(project.params, project.root, project.root / "mlflow.db")
    assert MlflowClient(tracking_uri=server).get_registered_model("atnet").aliases == {}


def test_without_a_server_or_a_file_nothing_is_copied(project: ReleaseProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(StoreError, match="The target is not an MLflow server"):
        migrate.migrate_store(project.params, project.root, project.root / "mlflow.db")
    with pytest.raises(StoreError, match=r"missing\.db does not exist"):
        migrate.migrate_store(project.params, project.root, project.root / "missing.db")
    with pytest.raises(StoreError, match=rf"{project.root} is a folder\. Name the SQLite file"):
        migrate.migrate_store(project.params, project.root, project.root)
