"""What the gate collects: a killed, slow or starved process says nothing about a model."""

import shutil
import sys
from pathlib import Path

import pytest

from atnet.cli import app
from atnet.config import Params
from atnet.isolated import process
from atnet.registry import versions
from atnet.registry.ledger import entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.versions import CHALLENGER, aliases, open_registry
from tests.finishedproject import write_finished_project

WORKERS = {
    "killed by SIGKILL": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "did not answer within 2 s": "import time; time.sleep(60)",
    "ran out of memory": 'print(\'{"error": "MemoryError: Unable to allocate 8 GiB"}\', flush=True)',
}
"""Message -> what the model's process does in place of loading the model."""


@pytest.mark.slow
@pytest.mark.parametrize("message", WORKERS)
def test_a_process_that_was_interrupted_gives_no_gate_result_and_no_ledger_line(
    message: str,
    params: Params,
    tmp_path: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    write_finished_project(tmp_path, params)
    worker = tmp_path / "worker.py"
    worker.write_text(WORKERS[message], encoding="utf-8")
    monkeypatch.setattr(process, "WORKER", worker)
    monkeypatch.setattr(process, "START_SECONDS", 2)
    monkeypatch.setattr(sys, "argv", ["atnet", "release"])

    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert "roll back" not in printed.lower()
    assert "Fix the export" not in printed
    registry = open_registry(params.tracking, tmp_path)
    assert entries(read_ledger(registry)) == []
    assert aliases(registry) == {CHALLENGER: 1}
    assert versions.version(registry, 1).state == "registered"
    assert not (tmp_path / ".atnet" / "releases").exists()
