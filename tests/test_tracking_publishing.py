"""Publishing a finished project to a real SQLite store: once, twice, interrupted, and after losses."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from atnet import files, tracking
from atnet.config import Params
from atnet.errors import ConfigurationError, DataFileError, ModelError
from atnet.inference import model_hash
from atnet.stages.publish import main
from atnet.tracking import TrackingStore, open_store, orphaned_runs, publish_from_files, publishing, training_run
from atnet.tracking.orphaned_runs import PUBLISH_KILLED_NOTE
from atnet.tracking.run_contents import PublishedRun
from atnet.tracking.tags import MODEL_TAG, NOTE_TAG, PROCESS_TAG, REBUILT_TAG, milliseconds
from tests.finishedproject import METRICS, interval, write_finished_project
from tests.killing import Killed, killed_after
from tests.projects import ROOT, Project
from tests.servers import mlflow_server
from tests.tinymodel import write_tiny_model


@pytest.fixture
def root(tmp_path: Path, params: Params, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return write_finished_project(tmp_path, params)


@pytest.fixture
def store(params: Params, root: Path) -> TrackingStore:
    return open_store(params.tracking, root)


def _runs(store: TrackingStore) -> list[Run]:
    return list(store.client.search_runs([store.experiment_id]))


def _contents(store: TrackingStore, run_id: str) -> tuple[object, ...]:
    """Return everything a reader sees of a run, with the history of each metric and the dates of the artifacts."""
    run = store.client.get_run(run_id)
    history = {name: len(store.client.get_metric_history(run_id, name)) for name in run.data.metrics}
    artifacts = Path(run.info.artifact_uri)
    dates = {str(path.relative_to(artifacts)): path.stat().st_mtime_ns for path in artifacts.rglob("*")}
    datasets = [entry.to_dictionary() for entry in run.inputs.dataset_inputs]
    return run.data.to_dictionary(), run.info.to_proto(), history, dates, datasets, _models(store, run_id)


def _models(store: TrackingStore, run_id: str) -> list[str]:
    return [output.model_id for output in store.client.get_run(run_id).outputs.model_outputs]


def _write_metrics(root: Path, accuracy: float) -> None:
    path = root / files.EVALUATION / "metrics.json"
    path.write_text(json.dumps({**METRICS, "accuracy": interval(accuracy)}))


def test_a_published_run_shows_everything(params: Params, root: Path, store: TrackingStore) -> None:
    published = publish_from_files(params, root)
    run = store.client.get_run(published.run_id)
    sha256 = model_hash(root / files.MODEL)
    assert published.created
    assert run.info.status == "FINISHED"
    assert run.info.run_name == f"pooled 84.0% {sha256[:8]}"
    assert run.data.tags[MODEL_TAG] == sha256
    assert run.data.tags["git.dirty"] == "true"
    assert run.data.tags[NOTE_TAG].startswith("AtNet predicts the right label for 84.0%")
    assert run.data.params["train.seed"] == str(params.train.seed)
    assert run.data.metrics["test/accuracy"] == 0.84
    assert run.data.metrics["test_slice/domain.movie.accuracy"] == 0.8
    assert [point.step for point in store.client.get_metric_history(published.run_id, "curve/train_loss")] == [1, 2, 3]
    paths = {entry.path for entry in store.client.list_artifacts(published.run_id, "evaluation")}
    assert {"evaluation/report.html", "evaluation/metrics.json", "evaluation/settings.json"} <= paths


def test_datasets_have_the_md5_of_their_files(params: Params, root: Path, store: TrackingStore) -> None:
    run = store.client.get_run(publish_from_files(params, root).run_id)
    datasets = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
    for split in ("train", "validation", "test"):
        path = root / files.SPLITS / f"{split}.parquet"
        assert datasets[split].digest == hashlib.md5(path.read_bytes()).hexdigest()
        assert json.loads(datasets[split].source) == {"uri": f"{files.SPLITS}/{split}.parquet"}
    assert json.loads(datasets["test"].profile)["num_rows"] == 40


def test_publishing_twice_changes_nothing(params: Params, root: Path, store: TrackingStore) -> None:
    first = publish_from_files(params, root)
    before = _contents(store, first.run_id)
    second = publish_from_files(params, root)
    assert (second.run_id, second.created) == (first.run_id, False)
    assert _contents(store, first.run_id) == before
    assert len(_runs(store)) == 1
    assert len(store.client.search_logged_models([store.experiment_id])) == 1


def test_the_run_of_the_training_is_completed(params: Params, root: Path, store: TrackingStore) -> None:
    with training_run(store, name="training 0", params={"train.seed": "13"}, key="k", root=root) as run:
        run.epoch(1, {"train_loss": 0.7})
        run.finish(model_hash(root / files.MODEL))
    published = publish_from_files(params, root)
    assert (published.run_id, published.created) == (run.run_id, False)
    assert [point.value for point in store.client.get_metric_history(run.run_id, "curve/train_loss")] == [
        0.7,
        0.601,
        0.55,
    ]
    assert store.client.get_run(run.run_id).info.run_name.startswith("pooled 84.0%")


def test_an_emptied_store_is_filled_again(params: Params, root: Path, empty_store: Path, store: TrackingStore) -> None:
    publish_from_files(params, root)
    shutil.copy(empty_store, root / "emptied.db")
    emptied = params.model_copy(update={"tracking": params.tracking.model_copy(update={"uri": "sqlite:///emptied.db"})})
    published = publish_from_files(emptied, root)
    assert published.created
    other = open_store(emptied.tracking, root)
    assert other.client.get_run(published.run_id).data.metrics["curve/validation_loss"] == 0.59
    assert other.client.get_run(published.run_id).data.tags["rebuilt"] == "true"


@pytest.mark.parametrize("step", ["upload_artifacts", "ensure_logged_model", "_write_descriptions"])
def test_an_interrupted_publish_is_completed_in_the_same_run(
    params: Params, root: Path, store: TrackingStore, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(f"atnet.tracking.publishing.{step}", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            publish_from_files(params, root)
    published = publish_from_files(params, root)
    (run,) = _runs(store)
    assert (run.info.run_id, run.info.status) == (published.run_id, "FINISHED")
    assert len(_models(store, published.run_id)) == 1


@pytest.mark.slow
def test_a_training_killed_after_any_write_leaves_no_run_open_once_its_model_is_published(
    params: Params, root: Path, store: TrackingStore
) -> None:
    def train(key: str) -> None:
        with training_run(store, name="training", params={"train.seed": "13"}, key=key, root=root) as run:
            run.epoch(1, {"train_loss": 0.7})
            run.finish(model_hash(root / files.MODEL))

    with killed_after(None) as writes:
        train("not killed")
    for write in range(1, len(writes) + 1):
        write_tiny_model(root / files.MODEL, scale=1.0 + write)
        with killed_after(write), pytest.raises(Killed):
            train(f"killed after {write}")
        train(f"killed after {write}")
        publish_from_files(params, root)
        statuses = [run.info.status for run in _runs(store)]
        assert "RUNNING" not in statuses, f"killed after write {write} of {len(writes)}, {writes[write - 1]}"
        assert statuses.count("FINISHED") == write + 1, "one finished run for each model"


def test_the_run_of_an_interrupted_publish_is_closed_when_another_model_is_published(
    params: Params, root: Path, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("atnet.tracking.publishing.upload_artifacts", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            publish_from_files(params, root)
    (left,) = _runs(store)
    active = store.client.create_run(
        store.experiment_id, tags={REBUILT_TAG: "true", PROCESS_TAG: f"{socket.gethostname()}:{os.getppid()}"}
    ).info.run_id
    write_tiny_model(root / files.MODEL, scale=2.0)
    publish_from_files(params, root)
    closed = store.client.get_run(left.info.run_id)
    assert (closed.info.status, closed.data.tags[NOTE_TAG]) == ("KILLED", PUBLISH_KILLED_NOTE)
    assert store.client.get_run(active).info.status == "RUNNING", "another process is publishing to this run"

    write_tiny_model(root / files.MODEL)
    published = publish_from_files(params, root)
    again = store.client.get_run(published.run_id)
    assert (again.info.run_id, again.info.status) == (left.info.run_id, "FINISHED")
    assert again.data.tags[NOTE_TAG].startswith("AtNet predicts the right label for 84.0%")
    assert PROCESS_TAG not in again.data.tags


def test_an_interrupted_model_upload_is_completed_and_not_logged_again(
    params: Params, root: Path, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("atnet.tracking.logged_model.save_pyfunc", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            publish_from_files(params, root)
    published = publish_from_files(params, root)
    (model,) = store.client.search_logged_models([store.experiment_id])
    assert _models(store, published.run_id) == [model.model_id]
    assert str(model.status) == "READY"


def _interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_two_clones_that_publish_one_model_at_once_share_one_run(
    params: Params, root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root}/mlflow.db")
    clone = write_finished_project(tmp_path_factory.mktemp("clone"), params)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda folder: publish_from_files(params, folder), (root, clone))
    assert first.run_id == second.run_id
    assert sorted((first.created, second.created)) == [False, True]
    store = open_store(params.tracking, root)
    assert [run.info.status for run in _runs(store)] == ["FINISHED"]
    assert len(store.client.search_logged_models([store.experiment_id])) == 1


@pytest.mark.slow
def test_two_clones_that_publish_to_a_server_at_once_share_one_run(
    params: Params, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clones = [write_finished_project(tmp_path_factory.mktemp("clone"), params) for _ in range(2)]
    environment = Project(clones[0]).environment(PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]))
    with mlflow_server(tmp_path_factory.mktemp("server"), environment) as address:
        command, environment = (
            [sys.executable, "-m", "atnet.cli", "publish"],
            {**environment, "MLFLOW_TRACKING_URI": address},
        )
        processes = [subprocess.Popen(command, cwd=clone, env=environment) for clone in clones]
        assert [process.wait(300) for process in processes] == [0, 0]
        client = MlflowClient(tracking_uri=address)
        experiment = client.get_experiment_by_name(params.tracking.experiment).experiment_id
        (run,) = client.search_runs([experiment])
        assert run.info.status == "FINISHED"
        (model,) = client.search_logged_models([experiment])
        assert str(model.status) == "READY"


def test_on_a_server_the_run_that_was_created_first_is_kept(
    params: Params, root: Path, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrackingStore, "is_server", True)
    monkeypatch.setattr(orphaned_runs, "TAKEOVER_SECONDS", 0.0)
    sha256 = model_hash(root / files.MODEL)
    others: list[str] = []
    create_run = MlflowClient.create_run

    def create_second(client: MlflowClient, experiment: str, **options: Any) -> Run:
        # Another machine that saw no run either was a little earlier.
        tags = {MODEL_TAG: sha256, PROCESS_TAG: "other:1"}
        others.append(create_run(client, experiment, tags=tags).info.run_id)
        time.sleep(0.01)
        return create_run(client, experiment, **options)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", create_second)
        patch.setattr(publishing, "SETTLE_SECONDS", 0.0)
        published = publish_from_files(params, root)
    assert (published.run_id, published.created) == (others[0], False)
    assert [run.info.run_id for run in _runs(store)] == others


def test_a_run_that_another_machine_is_publishing_is_waited_for(
    params: Params, root: Path, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = publish_from_files(params, root).run_id
    store.client.update_run(run_id, status="RUNNING")
    store.client.set_tag(run_id, PROCESS_TAG, "other:1")
    # The other machine finishes while this one waits.
    monkeypatch.setattr(orphaned_runs.time, "sleep", lambda _: store.client.set_terminated(run_id, "FINISHED"))
    published = publish_from_files(params, root)
    assert (published.run_id, published.created) == (run_id, False)
    run = store.client.get_run(run_id)
    assert (run.info.status, run.data.tags[PROCESS_TAG]) == ("FINISHED", "other:1")


def test_scores_of_a_new_evaluation_are_shown_although_the_clock_was_set_back(
    params: Params, root: Path, store: TrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = publish_from_files(params, root).run_id
    _write_metrics(root, 0.86)
    monkeypatch.setattr(publishing, "milliseconds", lambda: milliseconds() - 24 * 3600 * 1000)
    for _ in range(2):
        publish_from_files(params, root)
        assert store.client.get_run(run_id).data.metrics["test/accuracy"] == 0.86
        values = [point.value for point in store.client.get_metric_history(run_id, "test/accuracy")]
        assert sorted(values) == [0.84, 0.86], "each value is written once"


def test_lost_artifacts_are_uploaded_again(params: Params, root: Path, store: TrackingStore) -> None:
    published = publish_from_files(params, root)
    shutil.rmtree(root / "mlartifacts")
    (root / "mlartifacts").mkdir()
    publish_from_files(params, root)
    assert store.client.list_artifacts(published.run_id, "evaluation")
    (model,) = _models(store, published.run_id)
    assert store.client.list_logged_model_artifacts(model)


def test_another_evaluation_of_the_same_model_updates_its_run(params: Params, root: Path, store: TrackingStore) -> None:
    first = publish_from_files(params, root)
    _write_metrics(root, 0.86)
    changed = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"seed": 7})})
    assert publish_from_files(changed, root).run_id == first.run_id
    run = store.client.get_run(first.run_id)
    assert run.data.metrics["test/accuracy"] == 0.86
    assert run.data.tags[NOTE_TAG].startswith("AtNet predicts the right label for 86.0%")
    assert run.info.run_name.startswith("pooled 86.0%")
    assert json.loads((Path(run.info.artifact_uri) / "evaluation" / "settings.json").read_text())["seed"] == 7


def test_what_a_user_wrote_is_kept(params: Params, root: Path, store: TrackingStore) -> None:
    run_id = publish_from_files(params, root).run_id
    store.client.set_tag(run_id, NOTE_TAG, "Checked by me.")
    store.client.update_run(run_id, name="my favorite")
    _write_metrics(root, 0.86)
    publish_from_files(params, root)
    run = store.client.get_run(run_id)
    assert (run.data.tags[NOTE_TAG], run.info.run_name) == ("Checked by me.", "my favorite")


def test_another_model_is_another_run(params: Params, root: Path, store: TrackingStore) -> None:
    first = publish_from_files(params, root)
    write_tiny_model(root / files.MODEL, scale=2.0)
    second = publish_from_files(params, root)
    assert second.created
    assert first.run_id != second.run_id
    write_tiny_model(root / files.MODEL)
    assert publish_from_files(params, root) == PublishedRun(first.run_id, first.link, created=False)


def test_the_logged_model_predicts(params: Params, root: Path, store: TrackingStore) -> None:
    (model_id,) = _models(store, publish_from_files(params, root).run_id)
    location = store.client.get_logged_model(model_id).artifact_location
    model = mlflow.pyfunc.load_model(location)
    assert model.predict(["a good film"])["label"].tolist() == ["positive"]
    names = {path.name for path in Path(location).rglob("*")}
    assert {"model.onnx", "model.weights.h5", "architecture.json", "train_hashes.txt"} <= names


# What must not be published


def test_files_that_differ_from_dvc_lock_are_refused(params: Params, root: Path) -> None:
    _write_lock(root, outs={f"{files.EVALUATION}/report.html": "0" * 32})
    with pytest.raises(DataFileError, match=r"report\.html differs from the file recorded in dvc\.lock.*dvc repro"):
        publish_from_files(params, root)


def test_parameters_changed_since_the_training_are_refused(params: Params, root: Path) -> None:
    trained = params.train.model_dump() | {"epochs": params.train.epochs + 1}
    _write_lock(root, parameters={"train": trained})
    with pytest.raises(ConfigurationError, match=r"params\.yaml has changed .*train\.epochs was \d+ and is now \d+"):
        publish_from_files(params, root)


def test_files_and_parameters_that_agree_with_dvc_lock_are_published_with_it(
    params: Params, root: Path, store: TrackingStore
) -> None:
    report = root / files.EVALUATION / "report.html"
    outs = {f"{files.EVALUATION}/report.html": hashlib.md5(report.read_bytes()).hexdigest()}
    _write_lock(root, outs=outs, parameters={"train": params.train.model_dump(), "split.seed": 13})
    run = store.client.get_run(publish_from_files(params, root).run_id)
    assert run.data.tags["dvc.lock.sha256"] == hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest()
    assert (Path(run.info.artifact_uri) / "dvc.lock").exists()


def test_an_incomplete_model_is_refused(params: Params, root: Path) -> None:
    (root / files.MODEL / "model.onnx").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx is missing"):
        publish_from_files(params, root)


def test_a_missing_evaluation_is_refused(params: Params, root: Path) -> None:
    (root / files.EVALUATION / "metrics.json").unlink()
    with pytest.raises(DataFileError, match=r"metrics\.json is missing"):
        publish_from_files(params, root)


# The stage


def test_the_stage_writes_the_same_receipt_each_time(
    params: Params, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    receipt = root / files.PUBLISHED / "receipt.json"
    assert main([]) == 0
    first = receipt.read_bytes()
    assert main([]) == 0
    assert receipt.read_bytes() == first
    run_id = _runs(tracking.open_store(params.tracking, root))[0].info.run_id
    assert run_id.encode() not in first
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("publish: pooled 84.0%")
    assert printed[0].endswith(f"run {run_id} in {root}/mlflow.db")


def test_the_stage_reports_an_error_without_a_traceback(
    params: Params, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    (root / "mlflow.db").write_bytes(b"not a database" * 100)
    assert main([]) == 1
    assert "is not a readable SQLite database" in capsys.readouterr().err
    assert not (root / files.PUBLISHED / "receipt.json").exists()


def _write_lock(root: Path, *, outs: dict[str, str] | None = None, parameters: dict[str, object] | None = None) -> None:
    stage = {
        "cmd": "train",
        "params": {"params.yaml": parameters or {}},
        "outs": [{"path": path, "md5": md5} for path, md5 in (outs or {}).items()],
    }
    (root / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"train": stage}}))
