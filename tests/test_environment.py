"""Foreign settings: what is ignored, what is named, and that neither ends a command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from atnet.environment import environment_notes, reduced_environment, sanitize
from tests.finishedproject import ROOT
from tests.settings import LABELED, params_file


def run_python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run code in a separate process, as a command would start."""
    variables = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}", **environment}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=variables, capture_output=True)


@pytest.mark.parametrize(
    "name",
    [
        *("KERAS_BACKEND", "KERAS_HOME", "KERAS_MAX_EPOCHS", "KERAS_NNX_ENABLED", "TF_USE_LEGACY_KERAS"),
        *("MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"),
        *("MLFLOW_ACTIVE_MODEL_ID", "MLFLOW_WORKSPACE", "MLFLOW_ENABLE_ASYNC_LOGGING"),
        *("GIT_DIR", "GIT_WORK_TREE", "MPLBACKEND", "MATPLOTLIBRC", "PYTHONWARNINGS", "GX_CLOUD_ACCESS_TOKEN"),
    ],
)
def test_a_variable_of_another_project_is_ignored_and_reported(name: str) -> None:
    environment = {name: "elsewhere", "PATH": "/bin"}
    assert sanitize(environment) == [name]
    assert environment.get(name) != "elsewhere"
    assert environment["KERAS_BACKEND"] == "tensorflow"
    assert environment["PATH"] == "/bin"


@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "PREFECT_API_URL", "HTTPS_PROXY"])
def test_a_variable_that_users_set_on_purpose_stays(name: str) -> None:
    environment = {name: "http://host"}
    assert sanitize(environment) == []
    assert environment[name] == "http://host"


def test_sanitizing_twice_reports_nothing_the_second_time() -> None:
    environment = {"KERAS_BACKEND": "jax", "NO_PROXY": "example.org"}
    assert sanitize(environment) == ["KERAS_BACKEND"]
    assert environment["NO_PROXY"] == "example.org,localhost,127.0.0.1,::1"
    before = dict(environment)
    assert sanitize(environment) == []
    assert environment == before


@pytest.mark.parametrize(
    ("name", "value", "note"),
    [
        ("MLFLOW_TRACKING_URI", "postgresql://u:S3CRET@h/db", "in effect: MLFLOW_TRACKING_URI=postgresql://***@h/db"),
        ("PREFECT_API_URL", "http://prefect:4200/api", "in effect: PREFECT_API_URL=http://prefect:4200/api"),
        ("https_proxy", "http://bob:S3CRET@proxy:8080", "in effect: https_proxy=http://***@proxy:8080"),
        ("TF_ENABLE_ONEDNN_OPTS", "0", "in effect: TF_ENABLE_ONEDNN_OPTS=0"),
    ],
)
def test_a_variable_that_takes_effect_is_named_without_its_secrets(
    name: str, value: str, note: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert note in environment_notes(tmp_path)


def test_an_empty_variable_is_not_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_PORT", "")
    assert not any("PREFECT_PORT" in note for note in environment_notes(tmp_path))


@pytest.mark.parametrize(
    ("contents", "note"),
    [
        (b"PREFECT_API_URL=http://other/api\n", ".env sets PREFECT_API_URL, which Prefect reads"),
        (b"# caf\xe9\nTOKEN=1\n", ".env is not UTF-8, and Prefect's flows cannot start with it here"),
        (b"DATABASE_URL=sqlite:///x.db\n", ""),
    ],
)
def test_a_dotenv_file_of_another_tool_is_named_if_it_has_an_effect(contents: bytes, note: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(contents)
    notes = [line for line in environment_notes(tmp_path) if line.startswith(".env")]
    assert [line.startswith(note) for line in notes] == ([True] if note else [])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_cannot_show_a_name_shows_its_escape_sequence(encoding: str, tmp_path: Path) -> None:
    code = (
        "import sys; from atnet.environment import prepare_process; prepare_process()\n"
        "print('label ótimo “sim” 😀'); print('péssimo 日本', file=sys.stderr)"
    )
    done = run_python(code, tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"label" in done.stdout
    assert b"\\U0001f600" in done.stdout


def test_a_locale_without_encoding_ends_no_command(tmp_path: Path) -> None:
    code = "from atnet.environment import *; prepare_process(); print('\\xf3timo'); print(environment_notes(Path()))"
    done = run_python(code, tmp_path, LC_ALL="POSIX", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert b"file names are encoded as" in done.stdout


@pytest.mark.parametrize("umask", [0o777, 0o277, 0o022])
def test_a_process_can_read_what_it_writes_whatever_the_umask(umask: int, tmp_path: Path) -> None:
    code = (
        f"import os; os.umask({umask}); from pathlib import Path\n"
        "from atnet.environment import prepare_process; prepare_process()\n"
        "Path('a').mkdir(); Path('a/b').write_text('x')\n"
        "print(Path('a/b').stat().st_mode & 0o600 == 0o600, Path('a').stat().st_mode & 0o700 == 0o700)"
    )
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == b"True True"


def test_warnings_of_libraries_end_no_command(tmp_path: Path) -> None:
    code = (
        "from atnet.environment import prepare_process; prepare_process()\n"
        "import warnings; warnings.warn('old', DeprecationWarning); warnings.warn('odd')"
    )
    done = run_python(code, tmp_path, PYTHONWARNINGS="error")
    assert done.returncode == 0, done.stderr


def test_check_names_what_is_ignored_and_prints_any_label_on_any_terminal(tmp_path: Path) -> None:
    params_file(tmp_path, LABELED, {"data": {"path": "own.csv"}})
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    rows = "".join(f"{row},a text {row},{'péssimo' if row % 2 else 'ótimo'}\n" for row in range(20))
    (tmp_path / "own.csv").write_text(f"id,text,label\n{rows}", encoding="utf-8")
    done = run_python(
        "import sys; sys.argv = ['atnet', 'check']; from atnet.cli.app import main; main()",
        tmp_path,
        PYTHONIOENCODING="ascii",
        MLFLOW_REGISTRY_URI="sqlite:///elsewhere.db",
        KERAS_BACKEND="jax",
        MLFLOW_RUN_ID="abc",
    )
    assert done.returncode == 0, done.stderr
    assert b"(p\\xe9ssimo, \\xf3timo)" in done.stdout
    ignored = b"the project does not use them: KERAS_BACKEND, MLFLOW_REGISTRY_URI, MLFLOW_RUN_ID"
    assert ignored in done.stdout
    assert done.stderr == b""


@pytest.mark.parametrize("training", [False, True])
def test_no_credential_reaches_a_child(training: bool) -> None:
    source = {
        "PATH": "/bin",
        "LC_ALL": "C.UTF-8",
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": "src",
        "AWS_SECRET_ACCESS_KEY": "a",
        "MLFLOW_TRACKING_URI": "b",
        "TF_VAR_password": "c",
        "PGPASSWORD": "d",
        "HTTPS_PROXY": "e",
    }
    environment = reduced_environment({"MORE": "1"}, training=training, source=source)
    expected = {"PATH", "LC_ALL", "OMP_NUM_THREADS", "MORE"} | ({"PYTHONPATH"} if training else set())
    assert set(environment) == expected


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_keras_uses_tensorflow_whatever_the_shell_and_the_home_folder_say(backend: str, tmp_path: Path) -> None:
    (tmp_path / ".keras").mkdir()
    settings = f'{{"backend": "{backend}", "floatx": "float64", "epsilon": 0.1}}'
    (tmp_path / ".keras" / "keras.json").write_text(settings)
    code = (
        "import atnet.stages.train, keras\n"
        "print(keras.backend.backend(), keras.config.floatx(), keras.config.epsilon(), keras.config.max_epochs())"
    )
    done = run_python(code, tmp_path, HOME=str(tmp_path), KERAS_BACKEND=backend, KERAS_MAX_EPOCHS="1")
    assert done.stdout.decode().strip() == "tensorflow float32 1e-07 None", done.stderr.decode()
    assert (tmp_path / ".keras" / "keras.json").read_text() == settings
