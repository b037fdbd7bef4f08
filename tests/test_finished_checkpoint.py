"""The checkpoint of a finished training: what the next start of the stage does with it."""

import hashlib
import sys
import time
from pathlib import Path

import pytest
import yaml

from atnet.errors import StoreError
from atnet.files import WEIGHTS
from atnet.git_dvc import run_dvc
from atnet.stages.finished_checkpoint import keep_finished, restore_finished

CHECKPOINTS = Path(".atnet/checkpoints")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Return the checkpoint of a training that has just written its model."""
    path = tmp_path / CHECKPOINTS / "key.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"state")
    (tmp_path / WEIGHTS).parent.mkdir(parents=True)
    (tmp_path / WEIGHTS).write_bytes(b"weights")
    keep_finished(path, tmp_path)
    assert not path.exists()
    return path


def _files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / CHECKPOINTS).rglob("*") if path.is_file())


def _write_lock(root: Path, weights: bytes) -> None:
    out = {"path": str(WEIGHTS), "md5": hashlib.md5(weights).hexdigest()}
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"train": {"outs": [out]}}}))


@pytest.mark.parametrize("lock", [None, b"weights of an earlier training"])
def test_a_model_that_dvc_deleted_without_recording_it_is_not_trained_again(
    checkpoint: Path, tmp_path: Path, lock: bytes | None
) -> None:
    if lock is not None:
        _write_lock(tmp_path, lock)
    (tmp_path / WEIGHTS).unlink()
    restore_finished(checkpoint, tmp_path)
    assert checkpoint.read_bytes() == b"state"
    assert _files(tmp_path) == ["key.npz"]


def test_a_recorded_model_that_is_to_be_trained_again_is_trained_from_the_start(
    checkpoint: Path, tmp_path: Path
) -> None:
    _write_lock(tmp_path, b"weights")
    (tmp_path / WEIGHTS).unlink()
    restore_finished(checkpoint, tmp_path)
    assert _files(tmp_path) == []


def test_without_dvc_a_complete_model_is_trained_from_the_start(checkpoint: Path, tmp_path: Path) -> None:
    restore_finished(checkpoint, tmp_path)
    assert _files(tmp_path) == []


def test_the_checkpoint_of_another_training_is_deleted_and_an_interrupted_one_kept(
    checkpoint: Path, tmp_path: Path
) -> None:
    other = tmp_path / CHECKPOINTS / "other.npz"
    other.write_bytes(b"interrupted")
    (tmp_path / WEIGHTS).unlink()
    restore_finished(other, tmp_path)
    assert other.read_bytes() == b"interrupted"
    assert _files(tmp_path) == ["other.npz"]


def test_a_training_whose_model_was_lost_twice_is_resumed_again(checkpoint: Path, tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / WEIGHTS).unlink()
        restore_finished(checkpoint, tmp_path)
        assert checkpoint.read_bytes() == b"state"
        (tmp_path / WEIGHTS).write_bytes(b"weights")
        keep_finished(checkpoint, tmp_path)


STAGE = """
import os, subprocess, sys, time
from pathlib import Path
from atnet.files import WEIGHTS
from atnet.stages.finished_checkpoint import keep_finished, restore_finished

checkpoint = Path(".atnet/checkpoints/key.npz")
restore_finished(checkpoint, Path())
with open("log", "a") as log:
    log.write("resumed\\n" if checkpoint.exists() else "trained\\n")
checkpoint.parent.mkdir(parents=True, exist_ok=True)
checkpoint.write_text("state")
WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
WEIGHTS.write_text("weights")
keep_finished(checkpoint, Path())
if Path("other command").exists():
    # Another DVC command takes DVC's lock while the stage is running.
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.Popen([sys.executable, "holder.py"], start_new_session=True, **quiet)
    while not Path("held").exists():
        time.sleep(0.05)
"""
HOLDER = """
import fcntl, time
from pathlib import Path

with open(".dvc/tmp/lock", "a") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    Path("held").touch()
    while Path("other command").exists():
        time.sleep(0.05)
Path("held").unlink()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="locks as on Unix")
def test_a_training_is_not_lost_to_a_second_dvc_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    run_dvc(["init", "--quiet", "--no-scm"], tmp_path)
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "holder.py").write_text(HOLDER)
    stage = {"cmd": f"{sys.executable} stage.py", "deps": ["stage.py"], "outs": [str(WEIGHTS)]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    (tmp_path / "other command").touch()
    try:
        with pytest.raises(StoreError, match="Unable to acquire lock"):
            run_dvc(["repro"], tmp_path)
    finally:
        (tmp_path / "other command").unlink()
    end = time.monotonic() + 60
    while (tmp_path / "held").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    run_dvc(["repro"], tmp_path)
    assert (tmp_path / "log").read_text().splitlines() == ["trained", "resumed"]
    run_dvc(["repro", "--force"], tmp_path)
    assert (tmp_path / "log").read_text().splitlines() == ["trained", "resumed", "trained"]
