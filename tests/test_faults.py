"""What happens when the disk is full, a file is damaged or somebody presses Ctrl-C."""

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
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pytest

from atnet.git_dvc import damaged_in_cache
from atnet.storage import read_table, write_arrow, write_json, write_table, write_text
from projects import Project, add_own_data, change_params, make_project, stages_run
from texts import labelled_texts

TABLE = pd.DataFrame({"text": ["a"]})
TRAIN = "data/03_splits/train.parquet"
STAGES = {
    "validate": ("data/own.csv",),
    "split": ("data/02_validated",),
    "tokenize": ("data/03_splits",),
    "baseline": ("data/03_splits",),
    "vectors": ("data/04_tokens",),
}
"""What each stage reads; the folder it writes comes last."""


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
def test_a_full_disk_leaves_the_file_before_in_place(write: Callable[[Path], None], tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("the one before")
    (tmp_path / f".file.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as raised:
        write(target)
    assert raised.value.errno == errno.ENOSPC
    assert target.read_text() == "the one before"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_tells_a_full_disk_in_one_message(stage: str, prepared: Project, tmp_path: Path) -> None:
    command = [sys.executable, "-m", f"atnet.stages.{stage}", *STAGES[stage], str(tmp_path / "out")]
    done = _on_a_tiny_disk(command, tmp_path, prepared)
    assert f"{stage}: the disk is full: " in done
    assert "Free some space and run `dvc repro` again." in done
    assert "Traceback" not in done
    assert ".part" not in done.partition("LEFT")[2]


def _on_a_tiny_disk(command: list[str], disk: Path, project: Project) -> str:
    # A disk of one page in a name space of its own, which needs no privileges where the system allows it.
    mount = f"mount -t tmpfs -o size=4k tmpfs {shlex.quote(str(disk))}"
    unshared = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*unshared, mount], capture_output=True).returncode != 0:
        pytest.skip("a tiny disk cannot be mounted here")
    script = f"{mount} && {shlex.join(command)}; code=$?; echo LEFT; find {shlex.quote(str(disk))}; exit $code"
    done = project.run(*unshared, script, check=False)
    assert done.returncode == 1, done.stdout
    return done.stdout


# Ctrl-C


def test_an_interrupt_while_a_stage_still_imports_prints_no_traceback(project: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "atnet.stages.tokenize", "in", "out"]
    process = subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    _read_until("atnet.errors", process.stderr)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    assert process.wait() != 0
    assert "interrupted. Run `dvc repro` to go on." in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_an_interrupted_training_keeps_its_epochs_and_leaves_no_model(prepared: Project) -> None:
    change_params(prepared.root / "params.yaml", {"train": {"epochs": 400, "patience": 400}})
    command = [sys.executable, "-m", "atnet.stages.train", "data/04_tokens", "data/05_vectors", "model"]
    process = _start(command, prepared)
    assert process.stdout is not None
    _read_until("epoch  2", process.stdout)
    process.send_signal(signal.SIGINT)
    said = process.stdout.read()
    assert process.wait() == 130
    assert "train: interrupted; nothing half-written was left. Run `dvc repro` to go on." in said
    assert "Traceback" not in said
    assert not (prepared.root / "model").exists()
    assert list(prepared.root.glob(".atnet/checkpoints/*.npz"))


@pytest.mark.slow
def test_after_an_interrupt_under_dvc_the_next_run_ends_well(prepared: Project) -> None:
    before = prepared.digests()
    process = _start([sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "validate"], prepared)
    assert process.stdout is not None
    _read_until("> python", process.stdout)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    said = process.stdout.read()
    assert process.wait() != 0
    assert "Traceback" not in said
    assert not (prepared.root / "data/02_validated/table.parquet").exists()
    prepared.dvc("repro", "vectors", "baseline")
    assert {path: md5 for path, md5 in prepared.digests().items() if not path.endswith("docs")} == {
        path: md5 for path, md5 in before.items() if not path.endswith("docs")
    }


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
    raise AssertionError(f"{mark!r} was never printed")


# Damaged files


@pytest.fixture(scope="module")
def prepared_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Run the stages before training on small own data."""
    project = make_project(tmp_path_factory.mktemp("prepared"))
    add_own_data(project, labelled_texts(300))
    project.dvc("repro", "vectors", "baseline")
    project.commit()
    return project


@pytest.fixture
def prepared(prepared_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a copy of it that a test may change."""
    return Project(Path(shutil.copytree(prepared_once.root, tmp_path_factory.mktemp("copy") / "project")))


def _damage(path: Path, *, read_only: bool) -> None:
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    path.chmod(0o444 if read_only else 0o644)


def _cached(project: Project, output: str) -> Path:
    digest = project.digests()[output]
    return project.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]


@pytest.mark.slow
def test_a_damaged_output_comes_back_from_the_cache(prepared: Project) -> None:
    _damage(prepared.root / TRAIN, read_only=False)
    assert stages_run(prepared.dvc("repro", "tokenize")) == []
    assert len(read_table(prepared.root / TRAIN)) > 0


@pytest.mark.slow
def test_a_cache_file_that_dvc_sees_to_be_damaged_is_made_again(prepared: Project) -> None:
    before = prepared.digests()
    _damage(_cached(prepared, TRAIN), read_only=False)
    (prepared.root / TRAIN).unlink()
    assert stages_run(prepared.dvc("repro", "tokenize")) == ["split"]
    assert prepared.digests() == before


@pytest.mark.slow
def test_a_cache_file_that_dvc_takes_for_whole_is_told_with_the_way_out(prepared: Project) -> None:
    before = (prepared.root / TRAIN).read_bytes()
    _damage(_cached(prepared, TRAIN), read_only=True)
    (prepared.root / TRAIN).unlink()
    prepared.dvc("repro", "split")
    told = prepared.dvc("repro", "--force", "--single-item", "tokenize", check=False)
    assert f"{TRAIN} is damaged" in told
    assert "Traceback" not in told
    assert damaged_in_cache(prepared.root) == {TRAIN: _cached(prepared, TRAIN)}
    doctor = prepared.atnet("doctor", check=False)
    command = doctor.partition("`rm -f ")[2].partition("`")[0]
    prepared.run("rm", "-f", *shlex.split(command))
    prepared.dvc("repro", "tokenize")
    assert (prepared.root / TRAIN).read_bytes() == before
    assert damaged_in_cache(prepared.root) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["04_tokens/tokenizer.json", "05_vectors/vectors.npy"])
def test_a_damaged_input_of_training_is_named(name: str, prepared: Project) -> None:
    _damage(prepared.root / "data" / name, read_only=False)
    command = ["-m", "atnet.stages.train", "data/04_tokens", "data/05_vectors", "model"]
    done: Any = prepared.run(sys.executable, *command, check=False)
    assert done.returncode == 1
    assert f"train: data/{name} is damaged" in done.stdout
    assert "Traceback" not in done.stdout


# Bringing things back


@pytest.mark.slow
def test_a_failed_stage_says_how_its_last_good_outputs_come_back(prepared: Project) -> None:
    (prepared.root / "data/own.csv").write_text("id,text,label\n", encoding="utf-8")
    told = prepared.dvc("repro", "validate", check=False)
    assert "validate: data/own.csv names its columns but holds no rows." in told
    assert not (prepared.root / "data/02_validated/table.parquet").exists()
    prepared.run("sh", "-c", told.rpartition("cache: `")[2].partition("`")[0])
    assert (prepared.root / "data/02_validated/table.parquet").exists()
    assert (prepared.root / "data/own.csv").read_text(encoding="utf-8") == "id,text,label\n", "the user's change stays"


@pytest.mark.slow
def test_own_data_beside_the_default_data_is_known_to_dvc(tmp_path: Path) -> None:
    own = "data/01_raw/reviews.csv"
    project = make_project(tmp_path / "project", {"data": {"path": own}})
    (project.root / own).parent.mkdir()
    labelled_texts(60).to_csv(project.root / own, index=False)
    project.dvc("add", own)
    assert f"?? {own}.dvc" in project.git("status", "--short", "--untracked-files=all")
    (project.root / own).unlink()
    project.dvc("checkout", own)
    project.dvc("checkout", "--force", "--allow-missing")
    assert (project.root / own).is_file()
