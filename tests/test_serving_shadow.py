"""Shadow scoring: the challenger scores the same texts, and no request waits for it."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from atnet.config import ShadowConfig
from atnet.registry.shadow_run import Agreement, log_agreement
from atnet.registry.versions import CHALLENGER as RELEASE_ALIAS
from atnet.registry.versions import set_alias
from atnet.serving.loaded_model import LoadedModel
from atnet.serving.model_copies import CHALLENGER, ModelCopies
from atnet.serving.prediction_jobs import PredictionJob, ScoredText
from atnet.serving.service_metrics import WorkerMetrics
from atnet.serving.shadow_scoring import ShadowScorer
from tests.service import make_project, running_service, wait_for

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CHAMPION_MODEL = cast(LoadedModel, SimpleNamespace(sha256="champion"))


class _Challenger:
    """Says yes to texts of even length."""

    labels, sha256 = ("no", "yes"), "challenger"

    def __init__(self, gate: threading.Event | None = None) -> None:
        self._gate = gate

    def encode(self, texts: list[str]) -> list[list[int]]:
        if self._gate is not None:
            self._gate.wait(20)
        if "poison" in texts:
            raise ValueError
        return [[len(text)] for text in texts]

    def probabilities(self, ids: list[list[int]]) -> np.ndarray:
        return np.array([[tokens[0] % 2, 1 - tokens[0] % 2] for tokens in ids], np.float64)


def _shadow(tmp_path: Path, challenger: _Challenger, queued: int = 100) -> tuple[ShadowScorer, WorkerMetrics]:
    metrics = WorkerMetrics()
    config = ShadowConfig(max_queued_texts=queued, report_minutes=1.0)
    shadow = ShadowScorer(ModelCopies(tmp_path, "atnet"), config, metrics)
    shadow._on_model(cast(LoadedModel, challenger))
    shadow.start()
    return shadow, metrics


def _scored(texts: list[str], label: str = "yes") -> list[ScoredText]:
    job = cast(PredictionJob, SimpleNamespace(texts=texts))
    return [ScoredText(job, row, label, 0.75, [0.25, 0.75], 1, 0.0) for row in range(len(texts))]


def _count(metrics: WorkerMetrics, result: str) -> float:
    return float(cast(Any, metrics.shadow[result])._value.get())


def test_agreement_and_disagreement_are_counted(tmp_path: Path) -> None:
    shadow, metrics = _shadow(tmp_path, _Challenger())
    shadow.add(CHAMPION_MODEL, _scored(["even", "odd", "even"]))
    wait_for(lambda: _count(metrics, "agree") + _count(metrics, "disagree") == 3)
    shadow.stop()
    assert (_count(metrics, "agree"), _count(metrics, "disagree")) == (2, 1)
    assert cast(Any, metrics.shadow_difference)._value.get() == pytest.approx(0.25 + 0.75 + 0.25)


def test_texts_beyond_the_queue_are_skipped_and_no_request_waits(tmp_path: Path) -> None:
    gate = threading.Event()
    shadow, metrics = _shadow(tmp_path, _Challenger(gate), queued=5)
    for _ in range(4):
        shadow.add(CHAMPION_MODEL, _scored(["even"] * 5))
    assert _count(metrics, "skipped") >= 9
    gate.set()
    shadow.stop()


def test_an_error_of_the_challenger_is_counted(tmp_path: Path) -> None:
    shadow, metrics = _shadow(tmp_path, _Challenger())
    shadow.add(CHAMPION_MODEL, _scored(["poison"]))
    wait_for(lambda: _count(metrics, "error") == 1)
    shadow.add(CHAMPION_MODEL, _scored(["even"]))
    wait_for(lambda: _count(metrics, "agree") == 1)
    shadow.stop()


def test_the_alias_is_the_one_that_a_release_moves() -> None:
    assert CHALLENGER == RELEASE_ALIAS


def test_the_agreement_is_added_to_one_run_per_pair(tmp_path: Path, empty_store: Path) -> None:
    project = make_project(tmp_path, empty_store)
    uri = project.registry.store.uri
    for agreed in (8, 16):
        log_agreement(uri, "atnet-operations", (1, 2), Agreement(agreed, agreed // 4, 1.0), now=NOW)
    log_agreement(uri, "atnet-operations", (1, 2), Agreement(0, 0, 0.0), now=NOW)
    client = project.registry.store.client
    experiment = client.get_experiment_by_name("atnet-operations")
    (run,) = client.search_runs([experiment.experiment_id])
    points = client.get_metric_history(run.info.run_id, "shadow/agreement")
    assert [(point.step, point.value) for point in points] == [(10, 0.8), (20, 0.8)]
    assert run.data.tags["shadow.versions"] == "1 -> 2"


@pytest.mark.slow
def test_a_service_with_shadow_reports_to_metrics_and_mlflow(tmp_path: Path, empty_store: Path) -> None:
    project = make_project(tmp_path, empty_store, {"serve.shadow": {"report_minutes": 0.02}})
    project.promote(project.publish(1.0).number)
    set_alias(project.registry, RELEASE_ALIAS, project.publish(2.0).number)
    with running_service(tmp_path, "--shadow", "--workers", "2") as service:
        wait_for(lambda: "self-checked as challenger" in service.log(), service)
        assert service.predict(texts=["good", "bad"] * 10).json()["model"]["version"] == 1
        wait_for(lambda: service.metric('atnet_shadow_texts_total{result="agree"}') > 0, service)
        client = project.registry.store.client

        def runs() -> list[Any]:
            service.predict(texts=["good", "bad"] * 10)
            experiment = client.get_experiment_by_name("atnet-operations")
            return client.search_runs([experiment.experiment_id]) if experiment else []

        wait_for(runs, service)
        (run,) = runs()
        assert run.data.metrics["shadow/agreement"] == 1.0
        # The challenger is gone: it is not scored with any more, and the champion still answers.
        set_alias(project.registry, RELEASE_ALIAS, None)
        wait_for(lambda: not (tmp_path / ".atnet/serving/challenger.json").exists(), service)
        assert service.predict(text="good").status_code == 200
