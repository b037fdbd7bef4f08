"""Reading the state of git and of dvc.lock."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from atnet.errors import DataFileError
from atnet.git_dvc import GitState, git_state, locked_outputs, locked_params, read_dvc_file

LOCK = """
schema: '2.0'
stages:
  split:
    cmd: python -m atnet.stages.split
    deps:
    - {path: data/02_validated/table.parquet, hash: md5, md5: 11111111111111111111111111111111, size: 5}
    params:
      params.yaml:
        split.seed: 13
        train: {epochs: 10}
    outs:
    - {path: data/03_splits/train.parquet, hash: md5, md5: 22222222222222222222222222222222, size: 7}
    - {path: data/02_validated/docs, hash: md5, md5: 33333333333333333333333333333333.dir, size: 9, nfiles: 2}
"""


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, dvc_installed: None) -> Path:
    _git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("data/raw/\n")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    (tmp_path / "code.py").write_text("one\n")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "-m", "first")
    return tmp_path


def test_a_commit_without_changes_is_clean(repository: Path) -> None:
    state = git_state(repository)
    assert state.commit is not None
    assert len(state.commit) == 40
    assert not state.dirty


def test_a_changed_dvc_lock_is_still_clean(repository: Path) -> None:
    (repository / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    (repository / "data").mkdir()
    (repository / "data" / "dvc.lock").write_text("schema: '2.0'\n")
    (repository / "data" / "raw").mkdir()
    (repository / "data" / "raw" / "ignored.csv").write_text("x")
    assert not git_state(repository).dirty


@pytest.mark.parametrize("name", ["code.py", "new.py"])
def test_changed_and_new_files_make_it_dirty(repository: Path, name: str) -> None:
    (repository / name).write_text("two\n")
    assert git_state(repository).dirty


def test_outside_git_there_is_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path) == GitState(commit=None, dirty=True)


def test_the_outputs_in_the_lock_are_returned_with_their_md5() -> None:
    assert locked_outputs(LOCK) == {
        "data/03_splits/train.parquet": "22222222222222222222222222222222",
        "data/02_validated/docs": "33333333333333333333333333333333.dir",
    }


def test_the_parameters_in_the_lock_are_returned() -> None:
    assert locked_params(LOCK) == {"split.seed": 13, "train": {"epochs": 10}}


@pytest.mark.parametrize("read", [locked_outputs, locked_params])
def test_a_lock_with_merge_conflicts_is_reported_with_the_line(read: Callable[[str], object]) -> None:
    with pytest.raises(DataFileError, match=r"dvc\.lock is not valid YAML: .*line 3.* Resolve a merge conflict"):
        read(f"<<<<<<< HEAD\n{LOCK}=======\n")


@pytest.mark.parametrize("content", [b"outs:\n- md5: 1\n<<<<<<< HEAD\n", b"outs: caf\xe9\n"])
def test_a_dvc_file_that_cannot_be_read_is_reported_with_its_path(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "own.csv.dvc").write_bytes(content)
    with pytest.raises(DataFileError, match=r"own\.csv\.dvc is not valid YAML: .* restore it with `git checkout`"):
        read_dvc_file(tmp_path / "own.csv.dvc")


def test_an_empty_lock_has_no_outputs_and_parameters() -> None:
    assert locked_outputs("") == {}
    assert locked_params("schema: '2.0'") == {}
