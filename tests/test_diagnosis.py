"""The checks of `atnet doctor`."""

from pathlib import Path

import pytest

from atnet.config import Params
from atnet.diagnosis import machine, pipeline, services
from atnet.errors import StoreError
from atnet.storage import write_json

ABSENT_PROCESS = 2**22 + 1
"""Above the largest process id of Linux."""


def test_a_python_version_that_is_not_tested_is_noted() -> None:
    assert machine.check_python((3, 11, 9)).level == "ok"
    assert machine.check_python((3, 13, 0)).level == "note"


def test_a_full_disk_is_a_fault(tmp_path: Path) -> None:
    assert machine.check_disk(tmp_path, required_bytes=1).level == "ok"
    assert machine.check_disk(tmp_path, required_bytes=2**60).level == "fault"


def test_a_running_dvc_command_is_named(tmp_path: Path) -> None:
    assert pipeline.check_locks(tmp_path).level == "ok"
    holders = {"write": {"pid": 1, "cmd": "dvc repro"}, "read": [{"pid": ABSENT_PROCESS, "cmd": "dvc status"}]}
    write_json(tmp_path / pipeline.RWLOCK, {"data": holders})
    finding = pipeline.check_locks(tmp_path)
    assert finding.level == "note"
    assert finding.message == "DVC is running: dvc repro (process 1)"


def test_a_deployment_that_no_process_serves_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "deployments/filter": [
            {"name": "training", "status": "NOT_READY", "work_pool_name": "atnet"},
            {"name": "scoring", "status": "READY", "work_pool_name": None},
            {"name": "monitoring", "status": "READY", "work_pool_name": "gpu"},
        ],
        "flow_runs/filter": [{"id": "1"}],
        "work_pools/filter": [{"name": "atnet", "status": "NOT_READY"}, {"name": "gpu", "status": "NOT_READY"}],
    }
    monkeypatch.setattr(services, "_query", lambda address, path, body: answers[path])
    findings = services.check_prefect("http://127.0.0.1:1/api")
    messages = [finding.message for finding in findings if finding.level == "fault"]
    assert len(messages) == 3
    assert "prefect worker start --pool atnet" in messages[0]
    assert "--pool gpu" in messages[1]
    assert "Late" in messages[2]


def test_a_missing_prefect_server_is_noted() -> None:
    (finding,) = services.check_prefect("http://127.0.0.1:9/api")
    assert finding.level == "note"


def test_a_store_that_cannot_be_reached_is_a_fault(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object) -> None:
        raise StoreError("the store is locked")

    monkeypatch.setattr(services, "open_store", unreachable)
    finding = services.check_store(tmp_path, params.tracking)
    assert (finding.level, finding.message) == ("fault", "the store is locked")
