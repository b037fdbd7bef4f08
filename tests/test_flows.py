"""The flows: their logic with given task results, and one stage with a script in place of DVC."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from filelock import FileLock
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from atnet.diagnosis.pipeline import check_locks
from atnet.errors import AtnetError, ConfigurationError
from atnet.files import FLOW_LOCK
from pipelines import deployments, dvc_stage, training
from pipelines.dvc_stage import StageFailed, StageOutcome, pipeline_lock, run_stage, stage_message
from pipelines.stage_list import SAMPLE, declared_stages
from pipelines.tasks import run_flow

ROOT = Path(__file__).resolve().parents[1]
STAGES = (SAMPLE, *declared_stages(ROOT))


class TaskResults:
    """What each task of the training flow returns, and which of them were run."""

    def __init__(self) -> None:
        self.run: list[str] = []
        self.changed: tuple[str, ...] = ("data/own.csv.dvc",)
        self.stale: list[str] = []
        self.failures: dict[str, str] = {}

    def refresh(self) -> tuple[str, ...]:
        self.run.append("refresh")
        return self.changed

    def stale_stages(self) -> list[str]:
        self.run.append("stale stages")
        return self.stale

    def check(self, return_state: bool) -> State:
        return self._state("check")

    def publish(self, return_state: bool) -> State:
        return self._state("publish the run")

    def show_result(self) -> None:
        self.run.append("show")

    def stage_task(self, stage: str, return_state: bool) -> State:
        return self._state(stage)

    def _state(self, name: str) -> State:
        self.run.append(name)
        return Failed(message=self.failures[name]) if name in self.failures else Completed()


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TaskResults:
    tasks = TaskResults()
    for name in ("refresh", "stale_stages", "check", "publish", "show_result", "stage_task"):
        monkeypatch.setattr(training, name, getattr(tasks, name))
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tasks


def test_training_refreshes_checks_runs_every_stage_publishes_and_shows(tasks: TaskResults) -> None:
    state = training.training.fn()
    assert state.is_completed()
    assert tasks.run == ["refresh", "check", *STAGES, "publish the run", "show"]


def test_training_ends_early_if_there_is_no_new_data_and_no_stale_stage(tasks: TaskResults) -> None:
    tasks.changed = ()
    state = training.training.fn()
    assert (state.name, state.message) == ("NoNewData", "no new data")
    # The run is published even then: the store may have been emptied since.
    assert tasks.run == ["refresh", "stale stages", "publish the run"]


def test_training_runs_without_new_data_if_a_stage_is_stale(tasks: TaskResults) -> None:
    tasks.changed, tasks.stale = (), ["train"]
    assert training.training.fn().is_completed()
    assert "evaluate" in tasks.run


def test_a_failing_stage_fails_the_flow_at_once_with_its_message(tasks: TaskResults) -> None:
    tasks.failures = {"split": "split: one class only. Add rows."}
    state = training.training.fn()
    assert state.is_failed()
    assert state.message == "split: one class only. Add rows."
    assert tasks.run[-1] == "split"


def test_bad_input_is_refused_before_dvc_deletes_anything(tasks: TaskResults) -> None:
    tasks.failures = {"check": "data/own.csv is empty."}
    assert training.training.fn().is_failed()
    assert tasks.run == ["refresh", "check"]


def test_with_own_data_the_default_data_is_not_fetched(tasks: TaskResults, tmp_path: Path) -> None:
    content = yaml.safe_load((tmp_path / "params.yaml").read_text())
    content["data"]["path"] = "data/own.csv"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    training.training.fn()
    assert "sample" not in tasks.run
    assert "validate" in tasks.run


def test_a_damaged_stage_list_fails_the_flow_with_the_command_that_restores_it(
    tasks: TaskResults, tmp_path: Path
) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: [")
    state = training.training.fn()
    assert state.is_failed()
    assert "git checkout dvc.yaml" in str(state.message)


def test_a_second_flow_in_the_same_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / FLOW_LOCK).parent.mkdir()
    with (
        FileLock(tmp_path / FLOW_LOCK),
        pytest.raises(AtnetError, match="Another flow"),
        pipeline_lock(tmp_path, timeout_seconds=0.1),
    ):
        pass
    with pipeline_lock(tmp_path, timeout_seconds=0.1):
        pass


def test_a_run_of_a_deployment_waits_for_the_other_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deployment:
        id = None

    monkeypatch.setattr(dvc_stage, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(dvc_stage, "deployment", Deployment)
    (tmp_path / FLOW_LOCK).parent.mkdir()
    other = FileLock(tmp_path / FLOW_LOCK, thread_local=False)
    with other, pytest.raises(AtnetError, match="Another flow"), pipeline_lock(tmp_path):
        pass
    monkeypatch.setattr(Deployment, "id", "d1")
    other.acquire()
    ends = threading.Timer(0.5, other.release)
    ends.start()
    with pipeline_lock(tmp_path):
        assert not other.is_locked
    ends.join()


def test_only_the_task_that_uses_the_network_is_retried() -> None:
    assert training.refresh.retries > 0
    for task in (training.check, training.publish, training.stale_stages, training.show_result, dvc_stage.stage_task):
        assert task.retries == 0


# One stage


@pytest.fixture
def fake_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace `python -m dvc` by a script; tests write it to the returned path."""
    package = tmp_path / "dvc"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return package / "__main__.py"


def _run(stage: str, folder: Path) -> tuple[StageOutcome, list[str]]:
    logged: list[str] = []
    return run_stage(stage, folder, logged.append), logged


def test_a_stage_is_run_by_dvc_alone_and_its_output_is_logged_line_by_line(fake_dvc: Path, tmp_path: Path) -> None:
    fake_dvc.write_text("import sys\nprint(sys.argv[1:])\nprint('é', file=sys.stderr)\n", encoding="utf-8")
    outcome, logged = _run("sample", tmp_path)
    assert outcome == StageOutcome("sample", cached=False)
    assert logged == ["['repro', '--single-item', 'data/dvc.yaml:sample']", "é"]


@pytest.mark.parametrize(
    "line",
    ["Stage 'split' didn't change, skipping", "Stage 'split' is cached - skipping run, checking out outputs"],
)
def test_a_stage_that_dvc_skips_counts_as_cached(line: str, fake_dvc: Path, tmp_path: Path) -> None:
    fake_dvc.write_text(f"print({line!r})")
    assert _run("split", tmp_path)[0].cached


def test_a_failing_stage_raises_its_own_message(fake_dvc: Path, tmp_path: Path) -> None:
    fake_dvc.write_text(
        "import sys\n"
        "print(\"Running stage 'split':\")\n"
        "print('split: one class only.\\nAdd rows.', file=sys.stderr)\n"
        "print(\"ERROR: failed to reproduce 'split': failed to run\", file=sys.stderr)\n"
        "sys.exit(255)\n"
    )
    with pytest.raises(StageFailed) as failed:
        _run("split", tmp_path)
    assert str(failed.value) == "split: one class only.\nAdd rows."


def test_a_crash_is_reported_with_its_last_lines() -> None:
    lines = [f"line {number}" for number in range(40)] + ["ValueError: x", "ERROR: failed to reproduce 'split'"]
    message = stage_message("split", lines)
    assert message.startswith("line 2")
    assert message.endswith("ValueError: x\nERROR: failed to reproduce 'split'")
    assert "dvc repro split" in stage_message("split", [])


def test_the_stages_find_this_environments_python(fake_dvc: Path, tmp_path: Path) -> None:
    fake_dvc.write_text("import os\nprint(os.environ['PATH'].split(os.pathsep)[0])")
    assert _run("split", tmp_path)[1] == [str(Path(sys.executable).parent)]


def test_an_interrupted_flow_interrupts_the_stage_and_waits_for_it(fake_dvc: Path, tmp_path: Path) -> None:
    # DVC does the same: it ignores the interrupt itself and waits for its command.
    fake_dvc.write_text(
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "subprocess.run([sys.executable, 'stage.py'])\n"
    )
    (tmp_path / "stage.py").write_text(
        "import pathlib, time\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    pathlib.Path('cleaned up').touch()\n"
    )

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage("train", tmp_path, interrupt)
    assert (tmp_path / "cleaned up").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no inherited file locks")
def test_a_stage_that_a_killed_flow_left_running_keeps_the_flows_lock(fake_dvc: Path, tmp_path: Path) -> None:
    fake_dvc.write_text(
        "import pathlib, time\n"
        "print('ready', flush=True)\n"
        "while not pathlib.Path('finish').exists():\n"
        "    time.sleep(0.05)\n"
    )
    flow = (
        "import pathlib; from pipelines.dvc_stage import pipeline_lock, run_stage\n"
        "with pipeline_lock(pathlib.Path.cwd()):\n"
        "    run_stage('train', pathlib.Path.cwd(), lambda line: print(line, flush=True))\n"
    )
    path = os.pathsep.join([str(tmp_path), str(ROOT / "src"), str(ROOT)])
    with subprocess.Popen(
        [sys.executable, "-c", flow], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with pytest.raises(AtnetError, match="or a stage it left running"), pipeline_lock(tmp_path, timeout_seconds=0.1):
        pass
    assert "a stage that it left running" in check_locks(tmp_path).message
    (tmp_path / "finish").touch()
    with pipeline_lock(tmp_path, timeout_seconds=60):
        pass


# Errors


def _failing_flow(error: Exception) -> Any:
    def flow(return_state: bool) -> State:
        raise error

    return flow


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("Timed out while attempting to connect to ephemeral Prefect API server."),
            "training: Prefect's temporary server did not start in time.*EPHEMERAL_STARTUP_TIMEOUT",
        ),
        (RuntimeError("Failed to reach API at http://127.0.0.1:9/api/"), "at PREFECT_API_URL does not respond"),
        (httpx.ConnectError("All connection attempts failed"), "stopped answering .All connection attempts failed"),
        (OSError(errno.EROFS, "Read-only file system", ".prefect"), "the file system is read-only: .prefect"),
    ],
)
def test_a_flow_that_cannot_be_run_ends_in_one_message(
    capsys: pytest.CaptureFixture[str], error: Exception, message: str
) -> None:
    assert run_flow(_failing_flow(error), "training") is None
    printed = capsys.readouterr().err
    assert re.search(message, printed)
    assert len(printed.splitlines()) == 1


def test_an_error_that_the_user_cannot_fix_keeps_its_traceback() -> None:
    with pytest.raises(RuntimeError, match="our own"):
        run_flow(_failing_flow(RuntimeError("our own")), "training")


def test_a_file_system_error_in_a_task_fails_the_flow_with_its_message(
    tasks: TaskResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk() -> tuple[str, ...]:
        raise OSError(errno.EDQUOT, "Disk quota exceeded", "data/own.csv")

    monkeypatch.setattr(training, "refresh", full_disk)
    state = training.training.fn()
    assert state.is_failed()
    assert state.message == ("your disk quota is used up: data/own.csv. Free some space and run the command again.")


def test_serving_without_a_server_ends_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert deployments.main() == 1
    printed = capsys.readouterr().err
    assert printed == "schedule: prefect.yaml does not exist. Run the command in the project folder.\n"


# Deployments


def test_every_declared_deployment_is_served_with_its_schedule_and_limit() -> None:
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    served = {deployment.name: deployment for deployment in deployments.declared_deployments(ROOT / "prefect.yaml")}
    assert set(served) == {deployment["name"] for deployment in declared}
    weekly = served["training"]
    assert weekly.flow_name == "training"
    assert weekly.concurrency_limit == 1
    (schedule,) = weekly.schedules
    assert schedule.schedule.cron == declared[0]["schedules"][0]["cron"]
    assert schedule.schedule.timezone == declared[0]["schedules"][0]["timezone"]


def test_a_damaged_declaration_is_reported(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text("deployments:\n  - name: training\n")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        deployments.declared_deployments(tmp_path / "prefect.yaml")
    with pytest.raises(ConfigurationError, match="does not exist"):
        deployments.declared_deployments(tmp_path / "none.yaml")
