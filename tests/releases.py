"""A project for tests of the release: the store is real, the published model and the gate's decision are given."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from atnet.config import Params
from atnet.registry import versions
from atnet.registry.ledger import entries
from atnet.registry.ledger_store import read_ledger
from atnet.registry.versions import Registry, open_registry
from atnet.release import rollback, workflow
from atnet.release.approval import UserDecision, approve_version, reject_version
from atnet.release.gate.result import Decision, GateResult
from atnet.release.gate_inputs import Candidate
from atnet.release.model_card import ModelCard
from atnet.release.prune import prune_versions
from atnet.release.rollback import roll_back_champion
from atnet.release.workflow import ReleaseOptions, ReleaseOutcome
from atnet.storage import load_params
from atnet.tracking.tags import finished_run
from tests.registered import gate_result, log_model, sha
from tests.settings import params_file


class ReleaseProject:
    """A project whose published model and gate decision are set by the test."""

    def __init__(self, root: Path, registry: Registry) -> None:
        self.root, self.registry = root, registry
        self.model = "one"
        self.decision: Decision = "promote"
        self.during_gate: Callable[[], object] = lambda: None
        self.gate_runs = 0

    @property
    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    def release(self, model: str, decision: Decision = "promote", *, again: bool = False) -> ReleaseOutcome:
        self.model, self.decision = model, decision
        return workflow.release(self.params, self.root, ReleaseOptions(again=again), now=datetime.now(UTC))

    def approve(self, version: int | None = None, *, reason: str = "", user: str | None = None) -> str:
        return approve_version(self.params, self.root, UserDecision(version, reason, user), now=datetime.now(UTC))

    def reject(self, version: int | None = None, *, reason: str = "") -> str:
        return reject_version(self.params, self.root, UserDecision(version, reason), now=datetime.now(UTC))

    def rollback(self, to: int | None = None) -> str:
        return roll_back_champion(self.params, self.root, UserDecision(to), now=datetime.now(UTC))

    def prune(self, keep: int) -> list[int]:
        pruned = prune_versions(self.params, self.root, keep=keep, now=datetime.now(UTC))
        return [version.number for version in pruned]

    def require_approval(self) -> None:
        params_file(self.root, {"release": {"approval": "manual"}})

    def actions(self) -> list[tuple[str, int | None]]:
        """Return action and version of each line of the ledger."""
        return [(entry.event.action, entry.event.version) for entry in entries(read_ledger(self.registry))]

    def state(self, number: int) -> str:
        return versions.version(self.registry, number).state

    def publish(self, *_: object) -> str:
        """Publish the test's model in place of the one in the project's folder."""
        if finished_run(self.registry.store, sha(self.model)) is None:
            log_model(self.registry, self.model)
        return sha(self.model)

    def run_gate(self, *arguments: object) -> GateResult:
        """Return the test's decision in place of comparing models."""
        candidate = next(argument for argument in arguments if isinstance(argument, Candidate))
        self.gate_runs += 1
        self.during_gate()
        champion = candidate.champion.sha256 if candidate.champion else None
        return gate_result(self.decision, candidate.challenger.sha256, champion)


def release_project(root: Path, empty_store: Path, patch: pytest.MonkeyPatch) -> ReleaseProject:
    """Create the project in a folder; only what needs a trained model is replaced."""
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.chdir(root)
    shutil.copy(empty_store, root / "mlflow.db")
    project = ReleaseProject(root, open_registry(load_params(params_file(root)).tracking, root))
    patch.setattr(workflow, "_published_model", project.publish)
    patch.setattr(workflow, "run_gate", project.run_gate)
    patch.setattr(workflow, "model_card", lambda *_: ModelCard("# Card\n\nIt works well.", "<h1>Card</h1>"))
    patch.setattr(rollback, "smoke_test", lambda *_: 2)
    return project
