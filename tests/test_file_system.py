"""Errors of the file system end in one message with the next step, in commands and stages alike."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from atnet.analysis.run import analyze_labels, analyze_learning_curve
from atnet.backup.create import create_backup
from atnet.cli import app
from atnet.cli.app import command_line
from atnet.config import Params
from atnet.errors import AtnetError, ConfigurationError, DataFileError
from atnet.file_system import MESSAGES, file_system_errors, require_writable, require_writable_folder
from atnet.monitoring.monitor import MonitorRequest, monitor
from atnet.monitoring.review import write_list
from atnet.stages.command import run_stage
from atnet.storage import write_json
from tests.settings import params_file, params_with

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize("number", MESSAGES, ids=lambda number: errno.errorcode[number])
def test_an_error_that_the_user_can_fix_names_problem_file_and_next_step(number: int) -> None:
    problem, next_step = MESSAGES[number]
    with pytest.raises(AtnetError) as raised, file_system_errors():
        raise OSError(number, os.strerror(number), "data/03_splits/train.parquet")
    assert str(raised.value) == f"{problem}: data/03_splits/train.parquet. {next_step}"


def test_an_error_without_a_file_has_its_message() -> None:
    with pytest.raises(AtnetError, match=r"^the disk is full\. Free some space"), file_system_errors():
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EINVAL, errno.EBADF])
def test_an_error_that_is_likely_ours_keeps_its_traceback(number: int) -> None:
    with pytest.raises(OSError, match="ours") as raised, file_system_errors():
        raise OSError(number, "ours")
    assert not isinstance(raised.value, AtnetError)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_stage_ends_with_the_message_and_the_way_back(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params_file(tmp_path)

    def stage(params: Params, root: Path) -> str:
        raise OSError(number, os.strerror(number), "data/03_splits")

    assert run_stage("split", stage, ["--root", str(tmp_path)]) == 1
    message, recovery = capsys.readouterr().err.splitlines()
    assert message == f"split: {MESSAGES[number][0]}: data/03_splits. {MESSAGES[number][1]}"
    assert "dvc checkout" in recovery


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_command_ends_with_the_message(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing_command_line(called: str | None) -> typer.Typer:
        raise OSError(number, os.strerror(number), ".atnet")

    monkeypatch.setattr(app, "command_line", failing_command_line)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"atnet: {MESSAGES[number][0]}: .atnet. {MESSAGES[number][1]}\n"


@pytest.fixture
def unwritable(tmp_path: Path) -> Iterator[Path]:
    """Return a folder that not even root can write to."""
    folder = tmp_path / "data"
    folder.mkdir()
    if sys.platform != "linux" or _chattr("+i", folder) != 0:
        pytest.skip("folders cannot be made immutable here")
    yield folder
    _chattr("-i", folder)


def _chattr(flag: str, path: Path) -> int:
    return subprocess.run(["chattr", flag, str(path)], capture_output=True, check=False).returncode


def test_a_folder_that_cannot_be_written_ends_a_stage_in_one_message(
    unwritable: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params_file(tmp_path)

    def stage(params: Params, root: Path) -> str:
        write_json(unwritable / "report.json", {})
        return "written"

    assert run_stage("split", stage, ["--root", str(tmp_path)]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"split: operation not permitted: {unwritable}")
    assert "Traceback" not in printed


def test_a_path_is_writable_if_its_folder_can_be_created(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("old", encoding="utf-8")
    for path in (tmp_path / "new.csv", tmp_path / "old.csv", tmp_path / "a" / "b" / "new.csv"):
        require_writable(path)
        require_writable_folder(path.parent)
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("folder", "is a folder. Give the path of a file."),
        ("file/out.csv", "cannot be written: {root}/file is not a folder. Choose another path."),
        ("file/a/out.csv", "cannot be written: {root}/file is not a folder. Choose another path."),
        ("pipe", "is not a file. Give the path of a file."),
    ],
)
def test_a_path_that_cannot_be_written_is_named_with_the_reason(path: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError) as raised:
        require_writable(tmp_path / path)
    assert str(raised.value) == f"{tmp_path / path} {reason.format(root=tmp_path)}"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("path", ["/proc/out.csv", "/proc/folder/out.csv"])
def test_a_folder_in_which_no_file_can_be_created_is_named(path: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{path} cannot be written: no file can be created in /proc. Choose"):
        require_writable(Path(path))


def test_a_folder_without_permission_is_named(unwritable: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot be written: {unwritable}: Operation not permitted"):
        require_writable_folder(unwritable / "a")


def _monitor(params: Params, root: Path, path: Path) -> None:
    changed = params.model_copy(update={"monitor": params.monitor.model_copy(update={"output_folder": str(path)})})
    next(monitor(changed, root, MonitorRequest(), now=NOW))


WRITERS: dict[str, Callable[[Params, Path, Path], object]] = {
    "backup": lambda params, root, path: create_backup(params, root, path, now=NOW),
    "review": lambda params, root, path: write_list(params, root, rows=None, output=path, now=NOW),
    "monitor": _monitor,
    "analyze labels": lambda params, root, path: analyze_labels(params, path, "nb_svm"),
    "analyze learning-curve": lambda params, root, path: analyze_learning_curve(params, path, ["nb_svm"], 1),
}


@pytest.mark.parametrize("command", WRITERS)
def test_a_command_refuses_an_output_that_cannot_be_written_before_its_work(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output = tmp_path / "file" / "output"
    with pytest.raises(ConfigurationError, match=f"{output} cannot be written: .*/file is not a folder. Choose"):
        WRITERS[command](params_with(), tmp_path, output)
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    "arguments",
    [("score", "pipe.csv", "out.csv"), ("init", "pipe.csv"), ("monitor", "pipe.csv"), ("review", "--read", "pipe.csv")],
    ids=lambda arguments: arguments[0],
)
def test_a_pipe_is_refused_as_an_input(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params_file(tmp_path)
    monkeypatch.setattr("atnet.cli.setup.require_runnable", lambda root: None)
    os.mkfifo("pipe.csv")
    result = CliRunner().invoke(command_line(arguments[0]), arguments)
    assert isinstance(result.exception, DataFileError)
    assert "pipe.csv is a pipe or device" in str(result.exception)
