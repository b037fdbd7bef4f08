"""The service follows the alias, and keeps serving if the registry, a version or a file fails."""

import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from atnet.errors import ModelError
from atnet.model_verification import ARTIFACTS_TAG, artifact_hashes
from atnet.registry.model_source import ModelSource
from atnet.registry.versions import version
from atnet.serving.alias_poller import AliasPoller
from atnet.serving.loaded_model import load_model
from atnet.serving.model_copies import FILES, ModelCopies
from tests.servers import mlflow_server
from tests.service import RunningService, ServedProject, make_project, resident_megabytes, running_service, wait_for

SCALES = (1.0, 2.0, 3.0)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> ServedProject:
    """Three versions, none promoted."""
    project = make_project(tmp_path_factory.mktemp("published"), empty_store)
    for scale in SCALES:
        project.publish(scale)
    return project


@pytest.fixture
def project(published: ServedProject) -> Iterator[ServedProject]:
    """The same, version 1 promoted, without what an earlier service has left."""
    shutil.rmtree(published.root / ".atnet", ignore_errors=True)
    published.promote(1)
    yield published
    published.promote(None)


@pytest.fixture
def poller(project: ServedProject) -> AliasPoller:
    source = ModelSource(project.registry.store.uri, "atnet")
    return AliasPoller(source, ModelCopies(project.root / ".atnet/serving", "atnet"), "champion", retry_seconds=10.0)


def _pointed(poller: AliasPoller) -> int:
    folder = poller.copies.current("champion")
    assert folder is not None
    return load_model(folder).version


# One poll of the alias


def test_the_copy_of_another_registered_model_is_not_started_from(poller: AliasPoller, project: ServedProject) -> None:
    poller.poll(0.0)
    assert ModelCopies(project.root / ".atnet/serving", "atnet").current("champion") is not None
    assert ModelCopies(project.root / ".atnet/serving", "other").current("champion") is None


def test_the_version_under_the_alias_is_downloaded_and_followed(poller: AliasPoller, project: ServedProject) -> None:
    assert poller.poll(0.0) == "ok"
    assert _pointed(poller) == 1
    project.promote(2)
    assert poller.poll(1.0) == "ok"
    assert _pointed(poller) == 2


def test_without_the_alias_the_last_good_copy_stays(poller: AliasPoller, project: ServedProject) -> None:
    poller.poll(0.0)
    project.promote(None)
    assert poller.poll(1.0) == "missing"
    assert poller.message == "No version has the alias champion. Release one: `make release`."
    assert _pointed(poller) == 1


def test_the_last_good_copy_stays_when_the_champions_version_is_deleted(
    poller: AliasPoller, project: ServedProject
) -> None:
    deleted = project.publish(4.0)
    project.promote(deleted.number)
    assert poller.poll(0.0) == "ok"
    project.registry.store.client.delete_model_version("atnet", str(deleted.number))
    assert poller.poll(1.0) == "missing"
    assert "No version has the alias champion" in str(poller.message)
    assert _pointed(poller) == deleted.number


def test_without_the_registry_the_last_good_copy_stays(poller: AliasPoller, project: ServedProject) -> None:
    poller.poll(0.0)
    database = project.root / "mlflow.db"
    moved = database.rename(project.root / "moved.db")
    try:
        assert poller.poll(1.0) == "unreachable"
    finally:
        moved.rename(database)
    assert (_pointed(poller), poller.poll(2.0)) == (1, "ok")


@pytest.mark.parametrize("name", ["model/model.onnx", "model/inference_config.json", "inference.py"])
def test_files_that_are_not_those_published_are_rejected_by_hash(
    poller: AliasPoller, project: ServedProject, name: str
) -> None:
    poller.poll(0.0)
    with _changed(_version_file(project, 2, f"artifacts/{name}"), lambda content: content + b" "):
        project.promote(2)
        assert poller.poll(1.0) == "rejected"
        assert "version 2 are not the ones that were published" in str(poller.message)
        assert _pointed(poller) == 1
        assert poller.poll(2.0) == "rejected"
        assert poller.rejection is not None
        assert poller.rejection.attempts == 1
    assert poller.poll(100.0) == "ok"
    assert _pointed(poller) == 2


@pytest.mark.parametrize("what", ["token_ids", "probabilities", "labels"])
def test_a_version_that_fails_its_self_check_is_rejected(
    poller: AliasPoller, project: ServedProject, what: str
) -> None:
    poller.poll(0.0)

    def change(content: bytes) -> bytes:
        value = json.loads(content)
        value[what][0] = {"token_ids": [5, 5], "probabilities": [0.4, 0.6], "labels": "other"}[what]
        return json.dumps(value).encode()

    with (
        _changed(_version_file(project, 2, "artifacts/model/self_check.json"), change),
        _recorded_as_published(project, 2),
    ):
        project.promote(2)
        assert poller.poll(1.0) == "rejected"
    assert "failed its self-check" in str(poller.message)
    assert _pointed(poller) == 1


def test_on_a_full_disk_the_last_good_copy_stays_until_there_is_room(project: ServedProject, small_disk: Path) -> None:
    source = ModelSource(project.registry.store.uri, "atnet")
    poller = AliasPoller(source, ModelCopies(small_disk / "serving", "atnet"), "champion", retry_seconds=10.0)
    assert poller.poll(0.0) == "ok"
    with contextlib.suppress(OSError), (small_disk / "filler").open("wb") as filler:
        while True:
            filler.write(os.urandom(4096))
            filler.flush()
    project.promote(2)
    assert poller.poll(1.0) == "error"
    assert "No space left" in str(poller.message)
    assert _pointed(poller) == 1
    (small_disk / "filler").unlink()
    assert poller.poll(2.0) == "ok"
    assert _pointed(poller) == 2


def test_a_copy_damaged_on_disk_is_rejected_and_downloaded_again(poller: AliasPoller) -> None:
    poller.poll(0.0)
    folder = poller.copies.current("champion")
    assert folder is not None
    (folder / FILES / "artifacts/model/tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"artifacts/model/tokenizer\.json has changed"):
        load_model(folder)
    poller.poll(30.0)
    with pytest.raises(ModelError):
        load_model(folder)
    poller.poll(120.0)
    assert load_model(folder).version == 1


def test_a_version_registered_by_hand_cannot_be_verified(poller: AliasPoller, project: ServedProject) -> None:
    client = project.registry.store.client
    by_hand = client.create_model_version("atnet", source=str(project.root), run_id=None)
    project.promote(int(by_hand.version))
    try:
        assert poller.poll(0.0) == "rejected"
        assert "No hashes are recorded" in str(poller.message)
    finally:
        project.promote(1)
        client.delete_model_version("atnet", by_hand.version)


class _changed:
    """A file with other contents while the block runs."""

    def __init__(self, path: Path, change: Callable[[bytes], bytes]) -> None:
        self.path, self.before = path, path.read_bytes()
        path.write_bytes(change(self.before))

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self.path.write_bytes(self.before)


@contextlib.contextmanager
def _recorded_as_published(project: ServedProject, number: int) -> Iterator[None]:
    """Record the files that a version has now as the published ones while the block runs."""
    client, published = project.registry.store.client, version(project.registry, number)
    recorded = client.get_logged_model(published.model_id).tags[ARTIFACTS_TAG]
    hashes = json.dumps(artifact_hashes(project.artifacts(published)))
    client.set_logged_model_tags(published.model_id, {ARTIFACTS_TAG: hashes})
    try:
        yield
    finally:
        client.set_logged_model_tags(published.model_id, {ARTIFACTS_TAG: recorded})


def _version_file(project: ServedProject, number: int, name: str) -> Path:
    return project.artifacts(version(project.registry, number)) / name


# A running service


@pytest.mark.slow
def test_a_running_service_follows_promotion_rollback_and_a_missing_alias(project: ServedProject) -> None:
    with running_service(project.root) as service:
        assert service.version() == 1
        for number in (2, 3, 2):
            project.promote(number)
            wait_for(lambda number=number: service.version() == number, service)
        project.promote(None)
        wait_for(lambda: service.metric('atnet_registry_polls_total{result="missing"}') > 0, service)
        ready = httpx.get(f"{service.address}/ready")
        assert (ready.status_code, ready.json()["model"]["version"]) == (200, 2)
        assert "No version has the alias champion" in ready.json()["registry"]["message"]


@pytest.mark.slow
def test_a_rejected_version_is_in_ready_metrics_and_log_while_the_old_one_serves(project: ServedProject) -> None:
    with (
        _changed(_version_file(project, 2, "artifacts/model/model.onnx"), lambda content: content[:-1]),
        running_service(project.root) as service,
    ):
        project.promote(2)
        wait_for(lambda: service.metric("atnet_rejected_version") == 2, service)
        ready = service.client.get("/ready")
        assert (ready.status_code, ready.json()["model"]["version"]) == (200, 1)
        assert ready.json()["registry"]["rejected_version"] == 2
        assert "are not the ones that were published" in ready.json()["registry"]["rejected_reason"]
        assert "version 2 are not the ones that were published" in service.log()
        assert service.predict(text="good").json()["model"]["version"] == 1


@pytest.mark.slow
def test_a_service_starts_from_its_last_good_copy_without_the_registry(project: ServedProject) -> None:
    with running_service(project.root) as service:
        assert service.version() == 1
    database = project.root / "mlflow.db"
    moved = database.rename(project.root / "moved.db")
    try:
        with running_service(project.root) as service:
            assert service.predict(text="good").json()["model"]["version"] == 1
            wait_for(lambda: service.metric('atnet_registry_polls_total{result="unreachable"}') > 0, service)
            ready = service.client.get("/ready")
            assert (ready.status_code, ready.json()["registry"]["reachable"]) == (200, False)
            assert str(project.root) not in ready.text
            assert service.metric("atnet_registry_reachable") == 0
            moved.rename(database)
            wait_for(lambda: service.client.get("/ready").json()["registry"]["reachable"], service)
    finally:
        if moved.exists():
            moved.rename(database)


@pytest.mark.slow
def test_a_damaged_copy_is_not_started_from(project: ServedProject) -> None:
    with running_service(project.root):
        pass
    (copy,) = (project.root / ".atnet/serving/models").glob("1-*")
    with (copy / FILES / "artifacts/model/model.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"damage")
    database = project.root / "mlflow.db"
    moved = database.rename(project.root / "moved.db")
    try:
        with running_service(project.root, ready=False) as service:
            wait_for(lambda: "artifacts/model/model.onnx has changed" in service.log(), service)
            refused = service.predict(text="good")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
            assert service.client.get("/ready").status_code == 503
            assert service.client.get("/health").status_code == 200
            # The registry is back: the version is fetched again.
            moved.rename(database)
            wait_for(service.is_ready, service)
    finally:
        if moved.exists():
            moved.rename(database)


@pytest.mark.slow
def test_a_service_waits_for_the_first_champion(project: ServedProject) -> None:
    project.promote(None)
    with running_service(project.root, ready=False) as service:
        wait_for(lambda: "No version has the alias champion" in service.log(), service)
        assert service.client.get("/ready").json()["status"] == "no model"
        project.promote(1)
        wait_for(service.is_ready, service)


@pytest.mark.slow
def test_a_registry_server_may_stop_and_come_back(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with mlflow_server(tmp_path, environment) as address:
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", address)
            project = make_project(tmp_path / "project", empty_store)
            for scale in (1.0, 2.0):
                project.publish(scale)
            project.promote(1)
        port = int(address.rpartition(":")[2])
        with ExitStack() as stack:
            service = stack.enter_context(running_service(project.root, MLFLOW_TRACKING_URI=address))
            assert service.version() == 1
            yielded = stack.pop_all()
    with yielded:
        wait_for(lambda: service.metric("atnet_registry_reachable") == 0, service)
        assert service.predict(text="good").json()["model"]["version"] == 1
        with mlflow_server(tmp_path, environment, port=port):
            project.promote(2)
            wait_for(lambda: service.version() == 2, service)
            assert service.metric("atnet_registry_reachable") == 1


# Under load


def _load(
    service: RunningService, expected: dict[int, float], stop: threading.Event, failures: list[str], sent: list[int]
) -> None:
    with httpx.Client(base_url=service.address, timeout=30) as client:
        while not stop.is_set():
            answer = client.post("/v1/predict", json={"texts": ["good"] * 40})
            sent[0] += 1
            if answer.status_code != 200:
                failures.append(f"{answer.status_code} {answer.text}")
                continue
            body = answer.json()
            scores = {round(prediction["score"], 6) for prediction in body["predictions"]}
            if scores != {expected[body["model"]["version"]]}:
                failures.append(f"version {body['model']['version']} answered {scores}")


@pytest.mark.slow
def test_promotions_and_rollbacks_under_load_fail_no_request_and_mix_no_versions(project: ServedProject) -> None:
    """ATNET_LOAD_SECONDS in the environment lets it run longer."""
    seconds = float(os.environ.get("ATNET_LOAD_SECONDS", "20"))
    expected = {
        number: round(float(project.predictor(scale).predict(["good"]).scores[0]), 6)
        for number, scale in enumerate(SCALES, start=1)
    }
    stop, failures, sent = threading.Event(), list[str](), [0]
    with running_service(project.root, "--workers", "2") as service:
        wait_for(lambda: service.metric("atnet_ready_workers") == 2, service)
        clients = [threading.Thread(target=_load, args=(service, expected, stop, failures, sent)) for _ in range(6)]
        for client in clients:
            client.start()
        end, number = time.monotonic() + seconds, 1
        while time.monotonic() < end:
            number = number % 3 + 1
            project.promote(number)
            wait_for(lambda: service.version() == number, service)  # noqa: B023
            time.sleep(0.5)
        stop.set()
        for client in clients:
            client.join()
    assert failures == []
    assert sent[0] > 100


@pytest.mark.slow
def test_memory_stays_flat_over_many_promotions(project: ServedProject) -> None:
    swaps = int(os.environ.get("ATNET_SWAPS", "60"))
    with running_service(project.root) as service:
        (worker,) = service.workers()
        memory = []
        for swap in range(swaps):
            number = 2 - swap % 2
            project.promote(number)
            wait_for(lambda: service.version() == number, service)  # noqa: B023
            service.predict(texts=["good bad awful fine " * 20] * 50)
            memory.append(resident_megabytes(worker))
        assert service.workers() == [worker]
    third = swaps // 3
    early, late = max(memory[third : 2 * third]), max(memory[2 * third :])
    assert late < early * 1.05 + 2, memory
