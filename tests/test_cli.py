"""The command line: help, exit codes, messages."""

import errno
import io
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from atnet import files
from atnet.cli import app, summary
from atnet.cli.app import COMMANDS, command_line
from atnet.config import Params
from atnet.errors import AtnetError
from atnet.storage import write_json

METRICS = {
    "rows": 1914,
    "accuracy": {"value": 0.812, "low": 0.795, "high": 0.829},
    "macro_f1": {"value": 0.811, "low": 0.794, "high": 0.828},
    "baselines": {
        "majority": {"accuracy": 0.52, "macro_f1": 0.342},
        "nb_svm": {"accuracy": 0.79, "macro_f1": 0.789},
    },
    "lead": {
        "over": "nb_svm",
        "accuracy": {"value": 0.022, "low": 0.01, "high": 0.034},
        "macro_f1": {"value": 0.022, "low": 0.01, "high": 0.034},
        "mcnemar_p": 0.004,
    },
    "calibration": {"temperature": 1.2, "error_before": 0.05, "error_after": 0.02, "log_loss_before": 0.5},
}


def _atnet(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "atnet.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_help_lists_every_command(tmp_path: Path) -> None:
    done = _atnet("--help", folder=tmp_path)
    assert done.returncode == 0
    modules = Path(summary.__file__).parent.glob("*.py")
    with_command = {
        path.stem.replace("_", "-") for path in modules if "app = typer.Typer(" in path.read_text(encoding="utf-8")
    }
    assert set(COMMANDS) == with_command
    for command in COMMANDS:
        assert command in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_help_text_that_the_list_of_commands_shows(command: str) -> None:
    printed = CliRunner().invoke(command_line(command), [command, "--help"])
    assert printed.exit_code == 0
    assert COMMANDS[command].rstrip(".").split(";")[0].split(",")[0] in " ".join(printed.stdout.split())


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, atnet.cli.app; atnet.cli.app.command_line(None)\n"
        "print({'mlflow', 'pandas', 'pyarrow', 'tensorflow', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("command", ["check", "publish", "refresh", "summary", "doctor", "ui", "serve"])
def test_outside_a_project_every_command_ends_in_one_message(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["atnet", command])
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err == "atnet: params.yaml is missing. Run the command in the project's folder.\n"


def test_an_unknown_command_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    done = _atnet("sumary", folder=tmp_path)
    assert done.returncode == 2
    assert "summary" in done.stderr


def test_summary_before_the_first_run_names_the_next_step(project: Path, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
    done = _atnet("summary", folder=tmp_path)
    assert done.returncode == 1
    assert "dvc repro" in done.stderr
    assert "Traceback" not in done.stderr


def test_summary_shows_rows_scores_and_where_to_look(
    project: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_bytes((project / "params.yaml").read_bytes())
    rows = {"read": 23703, "valid": 19136, "excluded": 4567, "quarantined": 0}
    write_json(tmp_path / files.VALIDATION_REPORT, {"rows": rows})
    write_json(tmp_path / files.EVALUATION / "metrics.json", METRICS)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(command_line("summary"), ["summary"])
    assert result.exit_code == 0
    assert "23,703 read: 19,136 valid, 4,567 excluded, 0 quarantined" in result.stdout
    assert "0.812 (0.795 to 0.829)" in result.stdout
    assert "better than the best baseline, NB-SVM" in result.stdout
    assert "data/08_evaluation/report.html" in result.stdout
    assert "make ui" in result.stdout


def test_the_best_baseline_is_listed_right_below_the_model() -> None:
    models = [row.model for row in summary.score_rows(METRICS)]
    assert models == ["AtNet", "NB-SVM", "majority class"]


def _run_main(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Run `atnet` with a command that raises the error."""

    def failing_command_line(called: str | None) -> typer.Typer:
        raise error

    monkeypatch.setattr(app, "command_line", failing_command_line)
    app.main()


def test_an_error_that_the_user_cannot_fix_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError):
        _run_main(monkeypatch, KeyError("missing"))


def test_a_full_disk_ends_in_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _run_main(monkeypatch, OSError(28, "No space left on device"))
    assert ended.value.code == 1
    assert "disk is full" in capsys.readouterr().err


def _commands_with_a_broken_pipe() -> typer.Typer:
    line = app.command_line(None)

    @line.command("break")
    def break_pipe() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    return line


def test_a_helper_process_that_has_ended_is_reported() -> None:
    with pytest.raises(AtnetError, match="has ended"):
        _commands_with_a_broken_pipe()(["break"])


def test_a_reader_that_needs_no_more_output_ends_a_command_silently(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class ClosedPipe(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(sys, "stdout", ClosedPipe())
    with pytest.raises(SystemExit) as ended:
        _commands_with_a_broken_pipe()(["break"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["monitor", "no.csv"], ["review", "--read", "no.csv"], ["monitor", "."]])
def test_a_path_that_is_no_file_is_refused_at_once(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        app.command_line(arguments[0])(arguments)
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "does not exist" in message or "is a directory" in message


def test_a_port_in_use_is_refused_with_another_one(tmp_path: Path, project: Path) -> None:
    shutil.copy(project / "params.yaml", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = _atnet("ui", "--port", str(port), folder=tmp_path)
    assert done.returncode == 1
    assert f"atnet ui --port {port + 1}" in done.stderr
    assert "Traceback" not in done.stderr
