"""Errors of the file system end in one message with the next step, in commands and stages alike."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from atnet.cli import app
from atnet.config import Params
from atnet.errors import AtnetError
from atnet.file_system import MESSAGES, file_system_errors
from atnet.stages.command import run_stage
from atnet.storage import write_json
from tests.settings import params_file


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
