"""Backup and restore: the archive serves the champion on an empty machine, or says what is wrong with it."""

import json
import os
import shutil
import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from atnet.backup.archive import MANIFEST, extract_archive
from atnet.backup.create import Backup, create_backup
from atnet.backup.restore import restore_backup
from atnet.cli.backup import missing_note
from atnet.errors import DataFileError, ModelError, StoreError
from atnet.git_dvc import run_dvc
from atnet.registry.artifacts import smoke_test
from atnet.registry.versions import aliases, open_registry, version
from atnet.storage import load_params
from atnet.tracking.sqlite_copy import move_artifacts
from tests.service import ServedProject, make_project

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DATA = b"text,label\ngood,pos\nbad,neg\n"


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[ServedProject, Backup]:
    """A project with two versions, a ledger, tracked data, and its backup."""
    project = make_project(tmp_path_factory.mktemp("backup") / "a project", empty_store)
    first, second = project.publish(1.0), project.publish(2.0)
    project.promote(second.number)
    (project.root / ".atnet").mkdir(exist_ok=True)
    (project.root / ".atnet" / "ledger.jsonl").write_text('{"number": 1}\n', encoding="utf-8")
    (project.root / "own.csv").write_bytes(DATA)
    run_dvc(["init", "--quiet", "--no-scm"], project.root)
    run_dvc(["add", "--quiet", "own.csv"], project.root)
    assert first.number == 1
    return project, create_backup(project.params, project.root, project.root / "backup.tar", now=NOW)


@pytest.fixture
def empty_machine(backed_up: tuple[ServedProject, Backup], tmp_path: Path) -> Path:
    """A clone of the project: parameters and pointers, but no store and no cache."""
    project, _ = backed_up
    clone = tmp_path / "elsewhere"
    clone.mkdir()
    for name in ("params.yaml", "own.csv.dvc"):
        shutil.copy(project.root / name, clone / name)
    run_dvc(["init", "--quiet", "--no-scm"], clone)
    return clone


def test_a_backup_restored_on_an_empty_machine_serves_the_champion_and_has_the_data(
    backed_up: tuple[ServedProject, Backup], empty_machine: Path
) -> None:
    project, backup = backed_up
    moved = empty_machine / "backup.tar"
    shutil.copy(backup.path, moved)
    # The old folder is gone: nothing may lead back to it.
    hidden = project.root.with_name("hidden")
    project.root.rename(hidden)
    try:
        restore_backup(load_params(empty_machine / "params.yaml"), empty_machine, moved)
        registry = open_registry(load_params(empty_machine / "params.yaml").tracking, empty_machine)
        assert aliases(registry) == {"champion": 2}
        assert [smoke_test(registry, version(registry, number)) for number in (1, 2)] == [2, 2]
        run_dvc(["checkout", "--quiet"], empty_machine)
    finally:
        hidden.rename(project.root)
    assert (empty_machine / "own.csv").read_bytes() == DATA
    assert (empty_machine / ".atnet" / "ledger.jsonl").read_text(encoding="utf-8") == '{"number": 1}\n'
    assert not (empty_machine / ".atnet" / "restore").exists()


def test_a_backup_lists_every_file_and_outputs_that_the_cache_lacks(
    backed_up: tuple[ServedProject, Backup], tmp_path: Path
) -> None:
    project, backup = backed_up
    manifest = extract_archive(backup.path, tmp_path / "extracted")
    assert {name.partition("/")[0] for name in manifest.files} == {"mlflow.db", "artifacts", "cache", "project"}
    assert dict(manifest.aliases) == {"champion": 2}
    assert manifest.missing == ()
    entry = next((project.root / ".dvc" / "cache" / "files" / "md5").rglob("*"))
    shutil.move(project.root / ".dvc" / "cache", tmp_path / "cache")
    try:
        again = create_backup(project.params, project.root, tmp_path / "again.tar", now=NOW)
    finally:
        shutil.move(tmp_path / "cache", project.root / ".dvc" / "cache")
    assert entry.exists()
    assert again.manifest.missing == ("own.csv.dvc",)


def test_a_store_that_exists_is_not_replaced(backed_up: tuple[ServedProject, Backup]) -> None:
    project, backup = backed_up
    before = (project.root / "mlflow.db").read_bytes()
    with pytest.raises(StoreError, match="exists, and a restore would replace it"):
        restore_backup(project.params, project.root, backup.path)
    assert (project.root / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("damage", ["cut short", "a changed byte", "another tar", "a path outside"])
def test_a_damaged_archive_is_refused_and_restores_nothing(
    damage: str, backed_up: tuple[ServedProject, Backup], empty_machine: Path, tmp_path: Path
) -> None:
    _, backup = backed_up
    archive = tmp_path / "damaged.tar"
    content = bytearray(backup.path.read_bytes())
    if damage == "cut short":
        archive.write_bytes(content[: len(content) // 2])
    elif damage == "a changed byte":
        content[content.index(b"SQLite format 3") + 5000] ^= 1
        archive.write_bytes(content)
    else:
        member = tmp_path / "member"
        member.write_text("x", encoding="utf-8")
        with tarfile.open(archive, "w") as other:
            other.add(member, "../outside" if damage == "a path outside" else "member")
    with pytest.raises(DataFileError, match=r"damaged|no manifest|contains '\.\./outside'"):
        restore_backup(load_params(empty_machine / "params.yaml"), empty_machine, archive)
    assert not (empty_machine / "mlflow.db").exists()
    assert not (tmp_path / "outside").exists()


def test_a_version_that_does_not_load_fails_the_backup(backed_up: tuple[ServedProject, Backup], tmp_path: Path) -> None:
    project, _ = backed_up
    model = next(project.artifacts(version(project.registry, 2)).rglob("*.onnx"))
    content = model.read_bytes()
    model.write_bytes(content[:-10])
    try:
        with pytest.raises(ModelError, match="version 2 are not the ones that were published"):
            create_backup(project.params, project.root, tmp_path / "bad.tar", now=NOW)
    finally:
        model.write_bytes(content)


def test_a_restore_killed_before_its_last_step_is_simply_run_again(
    backed_up: tuple[ServedProject, Backup], empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, backup = backed_up
    replace = os.replace

    def killed(source: Path, target: Path) -> None:
        if Path(target).name == "mlflow.db":
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            restore_backup(load_params(empty_machine / "params.yaml"), empty_machine, backup.path)
    assert not (empty_machine / "mlflow.db").exists()
    restore_backup(load_params(empty_machine / "params.yaml"), empty_machine, backup.path)
    assert aliases(open_registry(load_params(empty_machine / "params.yaml").tracking, empty_machine)) == {"champion": 2}


def test_a_server_is_backed_up_with_its_own_tools(
    backed_up: tuple[ServedProject, Backup], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    project, backup = backed_up
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://mlflow:secret@db.example.org/mlflow")
    with pytest.raises(StoreError, match="is not a SQLite file") as caught:
        restore_backup(project.params, tmp_path, backup.path)
    assert "secret" not in str(caught.value)


def test_only_paths_below_the_artifact_folder_are_moved(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    stored = {"/a/mlartifacts/1": "/b c/1", "/a/mlartifacts": "/b c", "/a/mlartifacts-old/1": "/a/mlartifacts-old/1"}
    with closing(sqlite3.connect(database)) as connection, connection:
        for table, columns in {
            "experiments": "artifact_location",
            "runs": "artifact_uri",
            "logged_models": "artifact_location",
            "model_versions": "source, storage_location",
        }.items():
            connection.execute(f"CREATE TABLE {table} ({columns})")
        connection.executemany("INSERT INTO runs VALUES (?)", [(path,) for path in stored])
        connection.execute("INSERT INTO experiments VALUES ('file:///a/mlartifacts/2')")
    move_artifacts(database, Path("/a/mlartifacts"), Path("/b c"))
    with closing(sqlite3.connect(database)) as connection:
        assert [path for (path,) in connection.execute("SELECT artifact_uri FROM runs")] == list(stored.values())
        assert connection.execute("SELECT artifact_location FROM experiments").fetchone() == ("/b c/2",)


def test_the_manifest_is_readable_without_the_project(backed_up: tuple[ServedProject, Backup]) -> None:
    with tarfile.open(backed_up[1].path) as archive:
        stream = archive.extractfile(MANIFEST)
        assert stream is not None
        assert json.load(stream)["created"] == "2026-03-01T12:00:00+00:00"


def test_a_folder_is_not_taken_for_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"is a folder\. Give the path of an archive"):
        extract_archive(tmp_path, tmp_path / "extracted")


def test_files_that_are_not_in_the_cache_are_one_line_however_many() -> None:
    assert missing_note(["own.csv"]).startswith("1 file is not in DVC's cache (own.csv); run `dvc fetch`")
    assert missing_note([f"{n}.csv" for n in range(48)]).startswith(
        "48 files are not in DVC's cache (0.csv, 1.csv, 2.csv, …); run `dvc fetch`"
    )
