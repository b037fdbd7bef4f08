from pathlib import Path

import pytest

from atnet.cli import doctor
from atnet.config import Params
from atnet.errors import StoreError
from atnet.storage import write_json


def test_doctor_notes_a_python_that_is_not_tested() -> None:
    assert doctor.look_at_python((3, 11, 9)).verdict == "ok"
    assert doctor.look_at_python((3, 13, 0)).verdict == "note"


def test_doctor_finds_a_disk_without_room(tmp_path: Path) -> None:
    assert doctor.look_at_disk(tmp_path, needed_bytes=1).verdict == "ok"
    assert doctor.look_at_disk(tmp_path, needed_bytes=2**60).verdict == "fault"


def test_doctor_names_the_dvc_command_that_holds_the_project(tmp_path: Path) -> None:
    assert doctor.look_at_locks(tmp_path).verdict == "ok"
    held = {"write": {"pid": 1, "cmd": "dvc repro"}, "read": [{"pid": 2**22 + 1, "cmd": "dvc status"}]}
    write_json(tmp_path / ".dvc" / "tmp" / "rwlock", {"data": held})
    found = doctor.look_at_locks(tmp_path)
    assert found.verdict == "note"
    assert found.told == "DVC is at work: dvc repro (process 1)"


def test_doctor_says_which_deployment_nothing_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "deployments/filter": [
            {"name": "training", "status": "NOT_READY", "work_pool_name": "atnet"},
            {"name": "scoring", "status": "READY", "work_pool_name": None},
            {"name": "monitoring", "status": "READY", "work_pool_name": "gpu"},
        ],
        "flow_runs/filter": [{"id": "1"}],
        "work_pools/filter": [{"name": "atnet", "status": "NOT_READY"}, {"name": "gpu", "status": "NOT_READY"}],
    }
    monkeypatch.setattr(doctor, "_ask", lambda address, path, body: answers[path])
    told = [finding.told for finding in doctor.look_at_prefect("http://127.0.0.1:1/api") if finding.verdict == "fault"]
    assert len(told) == 3
    assert "prefect worker start --pool atnet" in told[0]
    assert "--pool gpu" in told[1]
    assert "Late" in told[2]


def test_doctor_notes_that_no_prefect_server_runs() -> None:
    (found,) = doctor.look_at_prefect("http://127.0.0.1:9/api")
    assert found.verdict == "note"


def test_doctor_reports_a_store_out_of_reach(params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_reach(*_: object) -> None:
        raise StoreError("the store is locked")

    monkeypatch.setattr("atnet.tracking.store.open_store", out_of_reach)
    found = doctor.look_at_store(tmp_path, params.tracking)
    assert (found.verdict, found.told) == ("fault", "the store is locked")
