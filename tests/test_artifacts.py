"""The files of a version are verified before they are judged, rolled back to or loaded, and can be repaired."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from atnet import files
from atnet.config import Params
from atnet.errors import ModelError, ReleaseError
from atnet.inference import model_hash
from atnet.registry import versions
from atnet.registry.artifacts import smoke_test, verified_files
from atnet.registry.ledger import entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.versions import CHAMPION, PREVIOUS, Registry, Version, aliases, open_registry
from atnet.release.approval import UserDecision
from atnet.release.gate_inputs import Candidate, IsolationOptions, collect_gate_inputs
from atnet.release.rollback import roll_back_champion
from atnet.tracking import publish_from_files
from tests.finishedproject import write_finished_project
from tests.tinymodel import write_tiny_model

pytestmark = pytest.mark.slow

ONNX = "artifacts/model/model.onnx"
WEIGHTS = "artifacts/model/model.weights.h5"


@pytest.fixture
def root(tmp_path: Path, params: Params, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return write_finished_project(tmp_path, params)


@pytest.fixture
def registry(root: Path, params: Params) -> Registry:
    registry = open_registry(params.tracking, root)
    versions.ensure_registered_model(registry)
    return registry


def _published(registry: Registry, params: Params, *, scale: float = 1.0) -> Version:
    write_tiny_model(registry.root / files.MODEL, scale=scale)
    publish_from_files(params, registry.root)
    return versions.register(registry, model_hash(registry.root / files.MODEL))


def _stored_file(registry: Registry, version: Version, name: str) -> Path:
    return Path(registry.store.client.get_logged_model(version.model_id).artifact_location, name)


def _change_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _append(path: Path) -> None:
    path.write_text(f"{path.read_text(encoding='utf-8')}print('changed')\n", encoding="utf-8")


def _truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    WEIGHTS: (_change_byte, "has changed"),
    "artifacts/inference.py": (_append, "has changed"),
    "MLmodel": (_append, "has changed"),
    ONNX: (_truncate, "has changed"),
    "requirements.txt": (Path.unlink, "is missing"),
}
"""File of a version -> how it is damaged, and how the message describes it."""


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_are_refused_by_name_until_they_are_published_again(
    registry: Registry, params: Params, name: str
) -> None:
    version = _published(registry, params)
    damage, description = DAMAGE[name]
    damage(_stored_file(registry, version, name))
    with pytest.raises(ModelError, match=rf"version 1 are not the ones .*{name} {description}.*`atnet publish`"):
        smoke_test(registry, version)

    publish_from_files(params, registry.root)
    with verified_files(registry, version) as folder:
        assert (folder / name).is_file()
    assert len(registry.store.client.search_logged_models([registry.store.experiment_id])) == 1


def test_a_damaged_challenger_is_an_error_and_not_a_finding_about_the_model(registry: Registry, params: Params) -> None:
    version = _published(registry, params)
    _append(_stored_file(registry, version, "artifacts/inference.py"))
    with pytest.raises(ModelError, match=r"version 1 .*artifacts/inference\.py has changed"):
        collect_gate_inputs(params.release, registry.root, registry, Candidate(version, None), IsolationOptions())


def test_a_damaged_champion_is_named_with_the_way_out(registry: Registry, params: Params) -> None:
    champion, challenger = _published(registry, params), _published(registry, params, scale=2.0)
    _truncate(_stored_file(registry, champion, ONNX))
    with pytest.raises(ReleaseError, match=rf"champion, version 1, .*{ONNX} has changed.*atnet rollback --to VERSION"):
        collect_gate_inputs(
            params.release, registry.root, registry, Candidate(challenger, champion), IsolationOptions()
        )


def test_a_rollback_to_a_damaged_version_is_refused(registry: Registry, params: Params) -> None:
    first, second = _published(registry, params), _published(registry, params, scale=2.0)
    for number, alias in ((first.number, PREVIOUS), (second.number, CHAMPION)):
        versions.set_tags(registry, number, {"release.state": "promoted"})
        versions.set_alias(registry, alias, number)
    inference = _stored_file(registry, first, "artifacts/inference.py")
    original = inference.read_text(encoding="utf-8")
    _append(inference)
    with pytest.raises(ModelError, match=r"version 1 .*artifacts/inference\.py has changed"):
        roll_back_champion(params, registry.root, UserDecision(), now=datetime.now(UTC))
    assert aliases(registry) == {CHAMPION: 2, PREVIOUS: 1}
    assert entries(read_ledger(registry)) == []

    inference.write_text(original, encoding="utf-8")
    roll_back_champion(params, registry.root, UserDecision(), now=datetime.now(UTC))
    assert aliases(registry) == {CHAMPION: 1}


def test_a_version_whose_files_belong_to_another_model_is_refused(registry: Registry, params: Params) -> None:
    first = _published(registry, params)
    second = _published(registry, params, scale=2.0)
    # Whoever may write to the tracking store could record other hashes; the version has the model's own.
    tags = registry.store.client.get_logged_model(second.model_id).tags
    shutil.copytree(_stored_file(registry, second, ""), _stored_file(registry, first, ""), dirs_exist_ok=True)
    registry.store.client.set_logged_model_tags(first.model_id, {"artifacts.sha256": tags["artifacts.sha256"]})
    with pytest.raises(ModelError, match=r"version 1 .*the model has the hash \w{12}"):
        smoke_test(registry, first)


def test_files_that_were_not_published_are_not_handed_out(registry: Registry, params: Params) -> None:
    version = _published(registry, params)
    bytecode = _stored_file(registry, version, "artifacts/__pycache__/inference.cpython-311.pyc")
    bytecode.parent.mkdir()
    bytecode.write_bytes(b"not published")
    with verified_files(registry, version) as folder:
        assert not (folder / "artifacts" / "__pycache__" / bytecode.name).exists()
        assert (folder / "artifacts" / "inference.py").is_file()
    assert bytecode.is_file(), "only the copy is changed"


def test_a_damaged_artifact_of_the_run_is_uploaded_again(registry: Registry, params: Params) -> None:
    run_id = _published(registry, params).run_id
    artifacts = Path(registry.store.client.get_run(run_id).info.artifact_uri)
    original = (artifacts / "evaluation" / "report.html").read_bytes()
    # Of the same size: only the contents tell.
    (artifacts / "evaluation" / "report.html").write_bytes(b"x" * len(original))
    (artifacts / "evaluation" / "metrics.json").write_bytes(b"{")
    publish_from_files(params, registry.root)
    assert (artifacts / "evaluation" / "report.html").read_bytes() == original
    local = registry.root / files.EVALUATION / "metrics.json"
    assert (artifacts / "evaluation" / "metrics.json").read_bytes() == local.read_bytes()
