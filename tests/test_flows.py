"""The flows: their logic with a fake stage runner, and once for real on a Prefect server."""

import sys
from pathlib import Path

import pytest
import yaml
from filelock import FileLock
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from atnet.errors import AtnetError, ConfigurationError
from atnet.files import FLOW_LOCK
from pipelines import deployments, dvc_stage, training
from pipelines.dvc_stage import STAGES, StageFailed, StageOutcome, pipeline_lock, run_stage, stage_message

ROOT = Path(__file__).resolve().parents[1]


class Acts:
    """Stands in for the tasks and writes down which were called."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.changed: tuple[str, ...] = ("data/own.csv.dvc",)
        self.out_of_date: list[str] = []
        self.failing: dict[str, str] = {}

    def refresh_data(self) -> tuple[str, ...]:
        self.called.append("refresh")
        return self.changed

    def look_for_work(self) -> list[str]:
        self.called.append("look")
        return self.out_of_date

    def check(self, return_state: bool) -> State:
        return self._act("check")

    def publish(self, return_state: bool) -> State:
        return self._act("publish act")

    def show_result(self) -> None:
        self.called.append("show")

    def stage_task(self, stage: str, return_state: bool) -> State:
        return self._act(stage)

    def _act(self, name: str) -> State:
        self.called.append(name)
        return Failed(message=self.failing[name]) if name in self.failing else Completed()


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Acts:
    acts = Acts()
    for name in ("refresh_data", "look_for_work", "check", "publish", "show_result", "stage_task"):
        monkeypatch.setattr(training, name, getattr(acts, name))
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    return acts


def test_training_refreshes_checks_runs_every_stage_publishes_and_shows(acts: Acts) -> None:
    state = training.training.fn()
    assert state.is_completed()
    assert acts.called == ["refresh", "check", *STAGES, "publish act", "show"]


def test_training_ends_early_when_nothing_is_new_and_nothing_out_of_date(acts: Acts) -> None:
    acts.changed = ()
    state = training.training.fn()
    assert (state.name, state.message) == ("NoNewData", "no new data")
    # Publishing is asked for even then: the store may have been emptied meanwhile.
    assert acts.called == ["refresh", "look", "publish act"]


def test_training_runs_without_new_data_when_a_stage_is_out_of_date(acts: Acts) -> None:
    acts.changed, acts.out_of_date = (), ["train"]
    assert training.training.fn().is_completed()
    assert "evaluate" in acts.called


def test_a_failing_stage_fails_the_flow_at_once_with_its_message(acts: Acts) -> None:
    acts.failing = {"split": "split: one class only. Add rows."}
    state = training.training.fn()
    assert state.is_failed()
    assert state.message == "split: one class only. Add rows."
    assert acts.called[-1] == "split"


def test_bad_input_is_refused_before_dvc_deletes_anything(acts: Acts) -> None:
    acts.failing = {"check": "data/own.csv is empty."}
    assert training.training.fn().is_failed()
    assert acts.called == ["refresh", "check"]


def test_own_data_leaves_the_default_data_alone(acts: Acts, tmp_path: Path) -> None:
    content = yaml.safe_load((tmp_path / "params.yaml").read_text())
    content["data"]["path"] = "data/own.csv"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    training.training.fn()
    assert "sample" not in acts.called
    assert "validate" in acts.called


def test_a_second_flow_in_the_same_project_is_refused(tmp_path: Path) -> None:
    (tmp_path / FLOW_LOCK).parent.mkdir()
    with (
        FileLock(tmp_path / FLOW_LOCK),
        pytest.raises(AtnetError, match="Another flow is at work"),
        pipeline_lock(tmp_path, timeout_seconds=0.1),
    ):
        pass
    with pipeline_lock(tmp_path, timeout_seconds=0.1):
        pass


def test_only_the_task_that_goes_over_the_network_is_retried() -> None:
    assert training.refresh_data.retries > 0
    for task in (training.check, training.publish, training.look_for_work, training.show_result, dvc_stage.stage_task):
        assert task.retries == 0


# One stage


@pytest.fixture
def fake_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand a script in for `python -m dvc`; tests write what it does into tmp_path/dvc/__main__.py."""
    package = tmp_path / "dvc"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return package / "__main__.py"


def _run(stage: str, folder: Path) -> tuple[StageOutcome, list[str]]:
    told: list[str] = []
    return run_stage(stage, folder, told.append), told


def test_a_stage_is_handed_to_dvc_alone_and_its_output_is_told_line_by_line(fake_dvc: Path, tmp_path: Path) -> None:
    fake_dvc.write_text("import sys\nprint(sys.argv[1:])\nprint('é', file=sys.stderr)\n", encoding="utf-8")
    outcome, told = _run("sample", tmp_path)
    assert outcome == StageOutcome("sample", cached=False)
    assert told == ["['repro', '--single-item', 'data/dvc.yaml:sample']", "é"]


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


def test_a_crash_is_told_with_its_last_lines() -> None:
    lines = [f"line {number}" for number in range(40)] + ["ValueError: x", "ERROR: failed to reproduce 'split'"]
    message = stage_message("split", lines)
    assert message.startswith("line 2")
    assert message.endswith("ValueError: x\nERROR: failed to reproduce 'split'")
    assert "dvc repro split" in stage_message("split", [])


def test_the_stages_find_this_environments_python(fake_dvc: Path, tmp_path: Path) -> None:
    fake_dvc.write_text("import os\nprint(os.environ['PATH'].split(os.pathsep)[0])")
    assert _run("split", tmp_path)[1] == [str(Path(sys.executable).parent)]


def test_an_interrupted_flow_interrupts_the_stage_and_waits_for_it(fake_dvc: Path, tmp_path: Path) -> None:
    # As DVC does: it ignores the interrupt itself and waits for its command.
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
        "    pathlib.Path('tidied').touch()\n"
    )

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage("train", tmp_path, interrupt)
    assert (tmp_path / "tidied").exists()


# Deployments


def test_every_declared_deployment_is_served_with_its_schedule_and_limit() -> None:
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    served = {one.name: one for one in deployments.declared_deployments(ROOT / "prefect.yaml")}
    assert set(served) == {one["name"] for one in declared}
    weekly = served["training"]
    assert weekly.flow_name == "training"
    assert weekly.concurrency_limit == 1
    (schedule,) = weekly.schedules
    assert schedule.schedule.cron == declared[0]["schedules"][0]["cron"]
    assert schedule.schedule.timezone == declared[0]["schedules"][0]["timezone"]


def test_a_damaged_declaration_is_told(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text("deployments:\n  - name: training\n")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        deployments.declared_deployments(tmp_path / "prefect.yaml")
    with pytest.raises(ConfigurationError, match="not here"):
        deployments.declared_deployments(tmp_path / "none.yaml")
