"""The checks of `atnet doctor`."""

import contextlib
import importlib.metadata
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from atnet.cli.app import command_line
from atnet.config import Params
from atnet.diagnosis import machine, pipeline, services
from atnet.diagnosis.installed_versions import check_installed_versions, locked_versions
from atnet.diagnosis.left_over import check_left_over
from atnet.diagnosis.registry import check_registry
from atnet.diagnosis.remote import check_remote
from atnet.diagnosis.schedules import check_prefect
from atnet.errors import StoreError
from atnet.git_dvc import run_dvc
from atnet.registry.versions import ensure_registered_model, open_registry, set_alias
from atnet.schedules.live_runs import lock_run, remove_left_over_locks
from atnet.schedules.prefect_api import PrefectApi
from atnet.storage import write_json
from atnet.tracking.store import open_store
from atnet.tracking.tags import PROCESS_TAG
from tests.projects import ROOT
from tests.receiver import Answer, http_server
from tests.registered import registered
from tests.servers import mlflow_server

ABSENT_PROCESS = 2**22 + 1
"""Above the largest process id of Linux."""


def test_a_python_version_that_is_not_tested_is_noted() -> None:
    assert machine.check_python((3, 11, 9)).level == "ok"
    assert machine.check_python((3, 13, 0)).level == "note"


def test_a_full_disk_is_a_fault(tmp_path: Path) -> None:
    assert machine.check_disk(tmp_path, required_bytes=1).level == "ok"
    assert machine.check_disk(tmp_path, required_bytes=2**60).level == "fault"


def test_a_project_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / ".atnet").mkdir()
    assert machine.check_disk(tmp_path, required_bytes=1).level == "ok"
    if subprocess.run(["chattr", "+i", str(tmp_path / ".atnet")], capture_output=True, check=False).returncode != 0:
        pytest.skip("folders cannot be made immutable here")
    try:
        finding = machine.check_disk(tmp_path, required_bytes=1)
    finally:
        subprocess.run(["chattr", "-i", str(tmp_path / ".atnet")], check=False)
    assert finding.is_fault
    assert ".atnet cannot be written: operation not permitted" in finding.message


def test_a_running_dvc_command_is_named(tmp_path: Path) -> None:
    assert pipeline.check_locks(tmp_path).level == "ok"
    holders = {
        "write": {"data": {"pid": 1, "cmd": "dvc repro"}},
        "read": {"data": [{"pid": ABSENT_PROCESS, "cmd": "dvc status"}]},
    }
    write_json(tmp_path / pipeline.RWLOCK, holders)
    finding = pipeline.check_locks(tmp_path)
    assert finding.level == "note"
    assert finding.message == "DVC is running: dvc repro (process 1)"


@pytest.mark.slow
def test_a_lock_file_of_a_real_dvc_command_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    run_dvc(["init", "--quiet", "--no-scm"], tmp_path)
    stage = {"cmd": f"{sys.executable} -c \"import shutil; shutil.copy('.dvc/tmp/rwlock', 'seen')\"", "outs": ["seen"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"copy": stage}}))
    run_dvc(["repro"], tmp_path)
    locks = json.loads((tmp_path / "seen").read_text())
    # The process has ended: one that is still alive takes its place.
    (holder,) = locks["write"].values()
    text = (tmp_path / "seen").read_text().replace(str(holder["pid"]), str(os.getpid()))
    (tmp_path / pipeline.RWLOCK).write_text(text)
    assert f"process {os.getpid()}" in pipeline.check_locks(tmp_path).message


@pytest.mark.parametrize("content", ["", '{"write": {"data/07', '{"write": {"data": 3}}', "[]"])
def test_a_damaged_lock_file_of_dvc_is_a_fault_that_names_the_command(tmp_path: Path, content: str) -> None:
    path = tmp_path / pipeline.RWLOCK
    path.parent.mkdir(parents=True)
    path.write_text(content)
    finding = pipeline.check_locks(tmp_path)
    assert finding.is_fault
    assert "rm .dvc/tmp/rwlock" in finding.message


@pytest.mark.parametrize("content", ["", "schema: '2.0'\nstages:\n  train: {cmd: 'pyth", "just text", b"\xff\xfe"])
def test_a_damaged_dvc_lock_is_a_fault_that_names_the_command(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "dvc.lock"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (finding,) = pipeline.check_dvc_lock(tmp_path)
    assert finding.is_fault
    assert "git checkout dvc.lock" in finding.message
    path.write_text("schema: '2.0'\nstages: {}\n")
    (finding,) = pipeline.check_dvc_lock(tmp_path)
    assert finding.level == "ok"


@pytest.mark.slow
def test_the_cache_of_a_lock_with_merge_conflicts_is_a_fault_without_a_traceback(tmp_path: Path) -> None:
    run_dvc(["init", "--quiet", "--no-scm"], tmp_path)
    (tmp_path / "dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n=======\n")
    finding = pipeline.check_cache(tmp_path)
    assert finding.is_fault
    assert "dvc.lock is not valid YAML" in finding.message


@pytest.mark.slow
def test_a_project_without_git_is_a_fault_unless_dvc_is_set_to_work_without(tmp_path: Path) -> None:
    finding = pipeline.check_git(tmp_path)
    assert finding.is_fault
    assert "git init" in finding.message
    with pytest.raises(StoreError, match=r"git: .* is not a git repository.*no_scm true"):
        pipeline.require_runnable(tmp_path)
    run_dvc(["init", "--quiet", "--no-scm"], tmp_path)
    assert pipeline.check_git(tmp_path).level == "ok"
    pipeline.require_runnable(tmp_path)


@pytest.mark.slow
def test_check_refuses_what_makes_every_dvc_command_fail(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("params.yaml", "expectations.yaml"):
        shutil.copy(project / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    run_dvc(["init", "--quiet", "--no-scm"], tmp_path)
    (tmp_path / "dvc.lock").touch()
    with pytest.raises(StoreError, match=r"dvc\.lock: is empty, cut short or has .*git checkout dvc\.lock"):
        CliRunner().invoke(command_line("check"), ["check"], catch_exceptions=False)
    (tmp_path / "dvc.lock").unlink()
    assert CliRunner().invoke(command_line("check"), ["check"]).exit_code == 0


def _deployment(name: str, status: str, pool: str | None) -> dict[str, object]:
    return {"id": name, "name": name, "status": status, "work_pool_name": pool, "paused": False}


def _late_run(deployment: str) -> dict[str, object]:
    times = {"updated": "2026-11-25T12:00:00Z", "created": "2026-11-25T12:00:00Z"}
    return {"id": "1", "name": "calm-elk", "deployment_id": deployment, "state_type": "SCHEDULED", **times}


def _prefect(answers: dict[str, list[dict[str, object]]], running: Sequence[dict[str, object]] = ()) -> Answer:
    """Answer like Prefect's server; `running` are the runs that hold a slot."""

    def answer(path: str, body: Any) -> tuple[int, Any]:
        kind = path.split("/")[2]
        active = kind == "flow_runs" and "RUNNING" in body["flow_runs"]["state"]["type"]["any_"]
        return 200, list(running) if active else answers[kind]

    return answer


def test_a_deployment_that_no_process_serves_is_named() -> None:
    answers: dict[str, list[dict[str, object]]] = {
        "deployments": [
            _deployment("training", "NOT_READY", "atnet"),
            _deployment("scoring", "READY", None),
            _deployment("monitoring", "READY", "gpu"),
        ],
        "flow_runs": [_late_run("training")],
        "work_pools": [{"name": "atnet", "status": "NOT_READY"}, {"name": "gpu", "status": "NOT_READY"}],
    }
    with http_server(_prefect(answers)) as port:
        findings = list(check_prefect(PrefectApi(f"http://127.0.0.1:{port}/api"), datetime.now(UTC)))
    messages = [finding.message for finding in findings if finding.level == "fault"]
    assert len(messages) == 3
    assert "prefect worker start --pool atnet" in messages[0]
    assert "--pool gpu" in messages[1]
    assert "1 runs are Late (training)" in messages[2]


def test_a_run_that_waits_for_another_one_of_its_deployment_is_not_late() -> None:
    deployments, late = [_deployment("training", "READY", None)], [_late_run("training")]
    answers: dict[str, list[dict[str, object]]] = {"deployments": deployments, "flow_runs": late, "work_pools": []}
    with http_server(_prefect(answers, [{**_late_run("training"), "state_type": "RUNNING"}])) as port:
        findings = list(check_prefect(PrefectApi(f"http://127.0.0.1:{port}/api"), datetime.now(UTC)))
    assert [finding.level for finding in findings] == ["ok"]


def test_a_missing_prefect_server_is_noted() -> None:
    (finding,) = check_prefect(PrefectApi("http://127.0.0.1:9/api"), datetime.now(UTC))
    assert finding.level == "note"


def test_left_over_locks_and_checkpoints_are_noted(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with lock_run(tmp_path, "running"):
        lock_run(tmp_path, "killed").close()
        checkpoint = tmp_path / ".atnet" / "checkpoints" / "abc.npz"
        checkpoint.parent.mkdir()
        checkpoint.touch()
        messages = [finding.message for finding in check_left_over(tmp_path, now)]
        old = [finding.message for finding in check_left_over(tmp_path, now + timedelta(days=40))]
        assert remove_left_over_locks(tmp_path) == 1
    assert messages[0].startswith("1 lock files")
    assert "`dvc repro` continues it" in messages[1]
    assert "40 days ago" in old[1]


@pytest.mark.slow
def test_an_alias_that_points_at_a_damaged_version_is_a_fault(
    params: Params, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    assert [finding.level for finding in check_registry(tmp_path, params.tracking)] == ["note"]
    registry = open_registry(params.tracking, tmp_path)
    ensure_registered_model(registry)
    version = registered(registry, "a")
    set_alias(registry, "champion", version.number)
    champion, ledger = check_registry(tmp_path, params.tracking)
    # The files of this model have the recorded hashes but are no model.
    assert (champion.subject, champion.level, ledger.level) == ("champion", "fault", "ok")
    assert "does not load and predict" in champion.message


def test_a_server_that_rejects_its_public_name_is_a_fault() -> None:
    with http_server(lambda path, body: (403, {})) as port:
        assert services.check_mlflow_server(f"http://127.0.0.1:{port}").is_fault
    with http_server(lambda path, body: (200, {})) as port:
        assert services.check_mlflow_server(f"http://127.0.0.1:{port}").level == "ok"
    assert services.check_mlflow_server("http://127.0.0.1:9").is_fault


def test_runs_left_open_by_killed_commands_are_noted(
    params: Params, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    assert [finding.level for finding in services.check_store(tmp_path, params.tracking)] == ["ok", "ok"]
    store = open_store(params.tracking, tmp_path)
    for name, process in (("killed", ABSENT_PROCESS), ("active", os.getppid())):
        tags = {PROCESS_TAG: f"{socket.gethostname()}:{process}"}
        store.client.create_run(store.experiment_id, run_name=name, tags=tags)
    *_, finding = services.check_store(tmp_path, params.tracking)
    assert finding.level == "note"
    assert finding.message.startswith("left open by killed commands: killed. ")


def test_an_artifact_location_that_cannot_be_written_is_a_fault(
    params: Params, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    _, artifacts = services.check_store(tmp_path, params.tracking)
    folder = tmp_path / params.tracking.artifact_location
    assert artifacts.message == f"{folder} can be written"
    assert list(folder.iterdir()) == []
    if subprocess.run(["chattr", "+i", str(folder)], capture_output=True, check=False).returncode != 0:
        pytest.skip("folders cannot be made immutable here")
    try:
        _, artifacts = services.check_store(tmp_path, params.tracking)
    finally:
        subprocess.run(["chattr", "-i", str(folder)], check=False)
    assert (artifacts.subject, artifacts.level) == ("artifacts", "fault")
    assert f"{folder} cannot be written: operation not permitted" in artifacts.message


@pytest.mark.slow
def test_the_artifacts_of_a_server_are_written_through_it(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mlflow_server(tmp_path, os.environ) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        _, artifacts = services.check_store(tmp_path, params.tracking)
        assert artifacts.level == "ok", artifacts.message
        assert not [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
        shutil.rmtree(tmp_path / "artifacts")
        (tmp_path / "artifacts").write_text("a file is in the way")
        _, artifacts = services.check_store(tmp_path, params.tracking)
    assert artifacts.is_fault
    assert "cannot be written" in artifacts.message


LOCK = """# comment
numpy==2.4.6 \\
    --hash=sha256:aa
    # via keras
psycopg[binary]==3.2.1 ; sys_platform != 'win32' \\
    --hash=sha256:bb
colorama==0.4.6 ; sys_platform == 'win32'
"""


def test_installed_versions_are_compared_with_the_lock(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text(LOCK)
    versions = {"numpy": "2.4.6", "psycopg": "3.2.1"}
    assert check_installed_versions(tmp_path, versions).message.startswith("2 packages")
    other = check_installed_versions(tmp_path, {**versions, "numpy": "1.0"})
    assert (other.level, "numpy 1.0 instead of 2.4.6" in other.message) == ("note", True)
    missing = check_installed_versions(tmp_path, {"numpy": "2.4.6"})
    assert missing.is_fault
    assert missing.message.startswith("not installed: psycopg. ")
    assert "make install" in missing.message


def test_the_gpu_build_is_compared_with_its_own_lock(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("numpy==2.4.6\ntensorflow-cpu==2.21.0\n")
    (tmp_path / "requirements-gpu.lock").write_text("numpy==2.4.6\nnvidia-cudnn-cu12==9.1\ntensorflow==2.21.0\n")
    versions = {"numpy": "2.4.6", "tensorflow": "2.21.0", "nvidia-cudnn-cu12": "9.1"}
    assert check_installed_versions(tmp_path, versions).message.startswith("3 packages")
    assert (
        "nvidia-cudnn-cu12 9.0" in check_installed_versions(tmp_path, {**versions, "nvidia-cudnn-cu12": "9.0"}).message
    )
    without_libraries = check_installed_versions(tmp_path, {"numpy": "2.4.6", "tensorflow": "2.21.0"})
    assert without_libraries.message.startswith("not installed: nvidia-cudnn-cu12. ")
    assert check_installed_versions(tmp_path, {"numpy": "2.4.6"}).message.startswith("not installed: tensorflow-cpu. ")


def test_the_locks_of_the_project_are_read_and_compared_with_this_environment() -> None:
    locked = dict(locked_versions((ROOT / "requirements.lock").read_text()))
    assert len(locked) > 150
    assert "tensorflow-cpu" in locked
    assert "versions" in check_installed_versions(ROOT).subject
    (installed,) = [name for name in locked if name == "mlflow"]
    assert locked[installed] == importlib.metadata.version("mlflow")


@pytest.mark.slow
def test_what_a_dvc_remote_lacks_or_has_damaged_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    root, remote, today = tmp_path / "project", tmp_path / "remote", date(2026, 3, 1)
    root.mkdir()
    run_dvc(["init", "--quiet", "--no-scm"], root)
    stage = {"cmd": f"{sys.executable} -c \"open('out', 'w').write('1')\"", "outs": ["out"]}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"write": stage}}))
    (root / "own.csv").write_text("text\n")
    run_dvc(["repro", "--quiet"], root)
    run_dvc(["add", "--quiet", "own.csv"], root)
    assert check_remote(root, today).level == "note"
    run_dvc(["remote", "add", "--default", "team", "../remote"], root)
    empty = check_remote(root, today)
    assert (empty.level, "`dvc push`" in empty.message) == ("fault", True)
    run_dvc(["push", "--quiet"], root)
    complete = [check_remote(root, today + timedelta(days=days)).message for days in (0, 1)]
    assert all(message.startswith("team has all 2 entries") for message in complete)
    assert {"out", "own.csv.dvc"} == {message.split("; ")[1].split()[0] for message in complete}
    damaged, lost = sorted(path for path in (remote / "files/md5").rglob("*") if path.is_file())
    damaged.chmod(0o644)
    damaged.write_text("other bytes")
    messages = [check_remote(root, today + timedelta(days=days)).message for days in (0, 1)]
    assert sum(" is damaged in team" in message for message in messages) == 1
    lost.unlink()
    finding = check_remote(root, today)
    assert finding.is_fault
    assert finding.message.startswith("team lacks ")


@pytest.mark.parametrize("content", ["another program's", "read-only"])
def test_a_database_that_cannot_hold_runs_is_a_fault(
    params: Params, tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    path = tmp_path / "mlflow.db"
    if content == "read-only":
        shutil.copy(empty_store, path)
        immutable = subprocess.run(["chattr", "+i", str(path)], capture_output=True, check=False)
        if immutable.returncode != 0:
            pytest.skip("files cannot be made immutable here")
    else:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE studies (study_id INTEGER)")
    before = path.read_bytes()
    try:
        (finding,) = services.check_store(tmp_path, params.tracking)
    finally:
        subprocess.run(["chattr", "-i", str(path)], capture_output=True, check=False)
    assert finding.is_fault
    assert ("is read-only" if content == "read-only" else "belongs to another program") in finding.message
    assert path.read_bytes() == before


def test_a_store_that_cannot_be_reached_is_a_fault(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise StoreError("the store is locked")

    monkeypatch.setattr(services, "open_store", unreachable)
    (finding,) = services.check_store(tmp_path, params.tracking)
    assert (finding.level, finding.message) == ("fault", "the store is locked")
