"""A full disk, a damaged file, Ctrl-C: messages, and what is left on disk."""

import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
import pytest

from atnet.files import BASELINE, MODEL, SPLITS, TOKENS, VALIDATED, VECTORS
from atnet.git_dvc import damaged_in_cache
from atnet.partial_files import partial_path
from atnet.storage import read_table, write_arrow, write_json, write_table, write_text
from tests.projects import Project, add_own_data, change_params, make_project, stages_run
from tests.texts import labeled_texts

TABLE = pd.DataFrame({"text": ["a"]})
TRAIN = "data/03_splits/train.parquet"
OUTPUT_FOLDERS = {
    "validate": VALIDATED,
    "split": SPLITS,
    "tokenize": TOKENS,
    "baseline": BASELINE,
    "vectors": VECTORS,
}
"""The folder that each stage writes."""


# A full disk


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_text(path, "text"),
        lambda path: write_json(path, {"key": 1}),
        lambda path: write_table(path, TABLE),
        lambda path: write_arrow(path, pa.Table.from_pandas(TABLE)),
    ],
    ids=["text", "json", "parquet", "arrow"],
)
def test_a_full_disk_keeps_the_previous_file(write: Callable[[Path], None], tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("previous")
    partial_path(target).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as raised:
        write(target)
    assert raised.value.errno == errno.ENOSPC
    assert target.read_text() == "previous"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", OUTPUT_FOLDERS)
def test_every_stage_reports_a_full_disk_in_one_message(stage: str, prepared: Project) -> None:
    output = _run_on_a_tiny_disk(stage, prepared)
    assert f"{stage}: the disk is full: " in output
    assert "Free some space and run `dvc repro` again." in output
    assert "Traceback" not in output
    assert ".part" not in output.partition("LEFT")[2]


def _run_on_a_tiny_disk(stage: str, project: Project) -> str:
    command, disk = [sys.executable, "-m", f"atnet.stages.{stage}"], project.root / OUTPUT_FOLDERS[stage]
    # A file system of one page in its own mount namespace, which needs no privileges on systems that allow it.
    mount = f"mount -t tmpfs -o size=4k tmpfs {shlex.quote(str(disk))}"
    unshared = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*unshared, mount], capture_output=True).returncode != 0:
        pytest.skip("a tiny file system cannot be mounted here")
    script = f"{mount} && {shlex.join(command)}; code=$?; echo LEFT; find {shlex.quote(str(disk))}; exit $code"
    finished = project.run(*unshared, script, check=False)
    assert finished.returncode == 1, finished.stdout
    return finished.stdout


# Ctrl-C


def test_an_interrupt_during_the_imports_of_a_stage_prints_no_traceback(project: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "atnet.stages.tokenize"]
    process = subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    _read_until("atnet.errors", process.stderr)
    process.send_signal(signal.SIGINT)
    output = process.stderr.read()
    assert process.wait() != 0
    assert "interrupted. Run `dvc repro` to continue." in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_an_interrupted_training_keeps_its_checkpoint_and_writes_no_model(prepared: Project) -> None:
    change_params(prepared.root / "params.yaml", {"train": {"epochs": 400, "patience": 400}})
    process = _start([sys.executable, "-m", "atnet.stages.train"], prepared)
    assert process.stdout is not None
    _read_until("epoch  2", process.stdout)
    process.send_signal(signal.SIGINT)
    output = process.stdout.read()
    assert process.wait() == 130
    assert "train: interrupted; no half-written file is left. Run `make pipeline` or `dvc repro` to continue." in output
    assert "Traceback" not in output
    assert not (prepared.root / MODEL).exists()
    assert list(prepared.root.glob(".atnet/checkpoints/*.npz"))


@pytest.mark.slow
def test_after_an_interrupt_under_dvc_the_next_run_gives_the_same_outputs(prepared: Project) -> None:
    before = prepared.digests()
    process = _start([sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "validate"], prepared)
    assert process.stdout is not None
    _read_until("> python", process.stdout)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    output = process.stdout.read()
    assert process.wait() != 0
    assert "Traceback" not in output
    assert not (prepared.root / "data/02_validated/table.parquet").exists()
    prepared.dvc("repro", "vectors", "baseline")
    assert prepared.digests() == before


def _start(command: list[str], project: Project) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=project.root,
        env=project.environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _read_until(mark: str, stream: IO[str]) -> None:
    for line in stream:
        if mark in line:
            return
    raise AssertionError(f"{mark!r} was not printed")


# Damaged files


@pytest.fixture(scope="module")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Run the stages before training on small own data."""
    project = make_project(tmp_path_factory.mktemp("prepared"))
    add_own_data(project, labeled_texts(300))
    project.dvc("repro", "vectors", "baseline")
    project.commit()
    return project


@pytest.fixture
def prepared(prepared_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the prepared project that a test may change."""
    return Project(Path(shutil.copytree(prepared_once.root, tmp_path_factory.mktemp("copy") / "project")))


def _damage(path: Path, *, read_only: bool) -> None:
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    path.chmod(0o444 if read_only else 0o644)


def _cached(project: Project, output: str) -> Path:
    digest = project.digests()[output]
    return project.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]


@pytest.mark.slow
def test_a_damaged_output_is_restored_from_the_cache(prepared: Project) -> None:
    _damage(prepared.root / TRAIN, read_only=False)
    assert stages_run(prepared.dvc("repro", "tokenize")) == []
    assert len(read_table(prepared.root / TRAIN)) > 0


@pytest.mark.slow
def test_an_output_is_computed_again_if_dvc_finds_its_cached_copy_damaged(prepared: Project) -> None:
    before = prepared.digests()
    _damage(_cached(prepared, TRAIN), read_only=False)
    (prepared.root / TRAIN).unlink()
    assert stages_run(prepared.dvc("repro", "tokenize")) == ["split"]
    assert prepared.digests() == before


@pytest.mark.slow
def test_doctor_names_a_damaged_cached_copy_that_dvc_trusts(prepared: Project) -> None:
    before = (prepared.root / TRAIN).read_bytes()
    _damage(_cached(prepared, TRAIN), read_only=True)
    (prepared.root / TRAIN).unlink()
    prepared.dvc("repro", "split")
    output = prepared.dvc("repro", "--force", "--single-item", "tokenize", check=False)
    assert f"{TRAIN} is damaged" in output
    assert "Traceback" not in output
    assert damaged_in_cache(prepared.root) == {TRAIN: _cached(prepared, TRAIN)}
    doctor = prepared.atnet("doctor", check=False)
    command = doctor.partition("`rm -f ")[2].partition("`")[0]
    prepared.run("rm", "-f", *shlex.split(command))
    prepared.dvc("repro", "tokenize")
    assert (prepared.root / TRAIN).read_bytes() == before
    assert damaged_in_cache(prepared.root) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["04_tokens/tokenizer.json", "05_vectors/vectors.npy"])
def test_a_damaged_input_of_training_is_reported(name: str, prepared: Project) -> None:
    _damage(prepared.root / "data" / name, read_only=False)
    finished = prepared.run(sys.executable, "-m", "atnet.stages.train", check=False)
    assert finished.returncode == 1
    assert f"train: data/{name} is damaged" in finished.stdout
    assert "Traceback" not in finished.stdout


# Restoring outputs


@pytest.mark.slow
def test_a_failed_stage_says_how_to_restore_its_last_good_outputs(prepared: Project) -> None:
    (prepared.root / "data/own.csv").write_text("id,text,label\n", encoding="utf-8")
    output = prepared.dvc("repro", "validate", check=False)
    assert "validate: data/own.csv has a header but no rows." in output
    assert not (prepared.root / "data/02_validated/table.parquet").exists()
    prepared.run("sh", "-c", output.rpartition("cache: `")[2].partition("`")[0])
    assert (prepared.root / "data/02_validated/table.parquet").exists()
    assert (prepared.root / "data/own.csv").read_text(encoding="utf-8") == "id,text,label\n", "the user's change stays"


@pytest.mark.slow
def test_dvc_tracks_own_data_beside_the_default_data(tmp_path: Path) -> None:
    own = "data/01_raw/reviews.csv"
    project = make_project(tmp_path / "project", {"data": {"path": own}})
    (project.root / own).parent.mkdir()
    labeled_texts(60).to_csv(project.root / own, index=False)
    project.dvc("add", own)
    assert f"?? {own}.dvc" in project.git("status", "--short", "--untracked-files=all")
    (project.root / own).unlink()
    project.dvc("checkout", own)
    project.dvc("checkout", "--force", "--allow-missing")
    assert (project.root / own).is_file()
