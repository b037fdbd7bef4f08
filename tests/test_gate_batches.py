"""The gate's inputs are collected in batches: how large they are does not change a number."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from atnet import files
from atnet.config import Params, ReleaseConfig
from atnet.errors import DataFileError, ReleaseError
from atnet.evaluation.slices import value_slices
from atnet.inference import Predictor, model_hash
from atnet.isolated import process
from atnet.isolated.process import ClassProbabilities, IsolatedModel
from atnet.published_model import MODEL_FOLDER
from atnet.registry import versions
from atnet.registry.versions import Version, open_registry
from atnet.release import compared_models, gate_inputs
from atnet.release.behavior.runner import BehaviorResult
from atnet.release.compared_models import ComparedModels, OpenModel
from atnet.release.gate.gate_rows import GateRows
from atnet.release.gate.measurements import Measurements, measure
from atnet.release.gate.result import CheckResult
from atnet.release.gate.scored_models import GateInputs, ModelPredictions
from atnet.release.gate_inputs import Candidate, IsolationOptions, collect_gate_inputs
from atnet.schema import text_hash
from atnet.text_hashes import TextHashes
from atnet.tracking import publish_from_files
from tests.finishedproject import write_finished_project
from tests.tinymodel import write_tiny_model

ROWS = 40
SERVABLE = CheckResult("servable", "passed", "predicted 2 rows", "predicts", "The version can be served.")


@pytest.fixture
def config(params: Params) -> ReleaseConfig:
    changes = {"min_compared_rows": 10, "bootstrap_samples": 100}
    slices = {**params.release.slices.model_dump(), "min_slice_rows": 2}
    return params.release.model_validate(params.release.model_dump() | changes | {"slices": slices})


@pytest.fixture
def root(tmp_path: Path, params: Params) -> Path:
    """Return a finished project whose test rows are predicted right and wrong, and its baselines in another order."""
    root = write_finished_project(tmp_path, params)
    table = pd.read_parquet(root / files.split_table("test"))
    assert len(table) == ROWS
    table["text"] = [f"{text} {'awful ' * (row % 3)}{'good ' * (row % 5)}" for row, text in enumerate(table["text"])]
    table.loc[30, "domain"] = None
    table.loc[36:, "domain"] = "books"
    table.to_parquet(root / files.split_table("test"), index=False)
    (root / files.BASELINE).mkdir(parents=True)
    guesses = pd.DataFrame({"id": table["id"], "majority": "negative", "nb_svm": np.roll(table["label"], 2)})
    guesses.iloc[::-1].to_parquet(root / files.BASELINE_PREDICTIONS, index=False)
    return root


class PredictorProcess:
    """A model in this process in place of a separate one; it records the number of texts of each request."""

    def __init__(self, model: Path) -> None:
        self._predictor = Predictor.load(model)
        self.requests: list[int] = []

    def predict(self, texts: Sequence[str]) -> ClassProbabilities:
        self.requests.append(len(texts))
        predictions = self._predictor.predict(texts)
        return ClassProbabilities(predictions.labels, predictions.probabilities)

    def median_ms(self, texts: Sequence[str]) -> float:
        return 0.5


def open_model(folder: Path, *, trained_on: Sequence[str] = (), **changes: Any) -> OpenModel:
    """Write a tiny model as a version's files are laid out, and open it in this process."""
    model = write_tiny_model(folder / MODEL_FOLDER, **changes)
    (model / "train_hashes.txt").write_text("".join(f"{text_hash(text)}\n" for text in trained_on))
    version = Version(1, model_hash(model), "run", "model", datetime(2026, 1, 1, tzinfo=UTC), {})
    loaded: Any = PredictorProcess(model)
    return OpenModel(version, loaded, folder)


def requests_of(model: OpenModel) -> list[int]:
    loaded: Any = model.process
    requests: list[int] = loaded.requests
    return requests


def collected(root: Path, models: ComparedModels) -> GateInputs:
    rows = models.rows()
    return GateInputs(
        test=rows,
        challenger=models.score_challenger(),
        champion=models.score_champion(),
        baselines=gate_inputs._baselines(root, rows),
        behavior=BehaviorResult(()),
        size_bytes=1,
        servable=SERVABLE,
    )


def measured(inputs: GateInputs, config: ReleaseConfig) -> Measurements:
    return measure(inputs, config, np.random.default_rng(config.seed))


def test_small_batches_give_the_same_numbers_and_no_model_gets_more_texts_at_once(
    root: Path, config: ReleaseConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_parquet(root / files.split_table("test"))
    challenger = open_model(root / "challenger", scale=2.0)
    champion = open_model(root / "champion", scale=-1.0, trained_on=table["text"].iloc[[3, 17]].tolist())
    models = ComparedModels.of(challenger, champion, root / files.split_table("test"))
    whole = measured(collected(root, models), config)
    assert requests_of(challenger) == [1, ROWS]
    monkeypatch.setattr(compared_models, "BATCH_ROWS", 7)
    assert measured(collected(root, models), config) == whole
    assert requests_of(challenger) == requests_of(champion) == [1, ROWS, 7, 7, 7, 7, 7, 5]
    assert whole.against_champion is not None
    assert (whole.against_champion.rows, whole.against_champion.trained_on) == (ROWS - 2, 2)
    assert whole.against_champion.comparison is not None
    names = [part.name for part in whole.against_champion.slices]
    assert {"domain: books", "domain: movie", "domain: tweets"} < set(names)
    assert 0 < whole.accuracy < 1


def test_models_with_other_labels_are_compared_over_the_common_ones_in_batches_too(
    root: Path, config: ReleaseConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenger = open_model(root / "challenger")
    champion = open_model(root / "champion", labels=("positive", "mixed"))
    models = ComparedModels.of(challenger, champion, root / files.split_table("test"))
    assert models.common == ("positive",)
    whole = measured(collected(root, models), config)
    monkeypatch.setattr(compared_models, "BATCH_ROWS", 7)
    assert measured(collected(root, models), config) == whole
    assert whole.against_champion is not None
    assert whole.against_champion.labels.other_label_rows == ROWS / 2


def test_rows_in_parts_are_those_of_the_whole_table(root: Path) -> None:
    table = pd.read_parquet(root / files.split_table("test"))
    hashes = TextHashes.of(table["text"].map(text_hash).iloc[::4])
    whole = GateRows.of(table, hashes)
    parts = GateRows.concatenated([GateRows.of(table.iloc[start : start + 9], hashes) for start in range(0, ROWS, 9)])
    for name in ("id_N", "words_N", "trained_on_N"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    slices = [
        [(part.value, part.rows_N.tolist()) for part in value_slices("domain", rows.columns["domain"])]
        for rows in (whole, parts)
    ]
    assert slices[0] == slices[1]
    assert [name for name, _ in slices[0]] == ["(none)", "books", "movie", "tweets"]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], [[]]),
        ([1, 1, 1, 1], [[1, 1, 1], [1]]),
        ([4, 4, 4], [[4, 4], [4]]),
        ([30, 1, 1], [[30], [1, 1]]),
        ([1, 30, 1], [[1], [30], [1]]),
    ],
)
def test_a_request_has_a_bounded_number_of_texts_and_characters(
    sizes: list[int], expected: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "BATCH_TEXTS", 3)
    monkeypatch.setattr(process, "BATCH_CHARACTERS", 10)
    batches = process._batches(["x" * size for size in sizes])
    assert [[len(text) for text in batch] for batch in batches] == expected


def test_a_model_that_does_not_answer_for_every_row_is_refused() -> None:
    short = ClassProbabilities(("negative", "positive"), np.full((2, 2), 0.5))
    with pytest.raises(ReleaseError, match=r"has predictions for 3 rows in shape \(2, 2\), the table has 3 rows"):
        ModelPredictions.of("c" * 64, short, np.arange(3, dtype=np.uint64), short.labels)


def test_baselines_that_lack_a_row_are_named_with_it(root: Path) -> None:
    rows = GateRows.of(pd.read_parquet(root / files.split_table("test")), TextHashes.of())
    pd.read_parquet(root / files.BASELINE_PREDICTIONS).query("id != 'test-5'").to_parquet(
        root / files.BASELINE_PREDICTIONS
    )
    with pytest.raises(DataFileError, match=r"lacks row test-5 of the test split\. Run `dvc repro`"):
        gate_inputs._baselines(root, rows)


@pytest.mark.slow
def test_separate_processes_get_no_more_texts_than_a_batch(
    root: Path, params: Params, config: ReleaseConfig, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, root / "mlflow.db")
    registry = open_registry(params.tracking, root)
    versions.ensure_registered_model(registry)
    published = []
    for scale in (1.0, -1.0):
        write_tiny_model(root / files.MODEL, scale=scale)
        publish_from_files(params, root)
        published.append(versions.register(registry, model_hash(root / files.MODEL)))
    requests: list[int] = []
    request = IsolatedModel._request

    def recorded(model: IsolatedModel, method: str, texts: Sequence[str] = ()) -> dict[str, Any]:
        requests.append(len(texts) if method == "predict" else 0)
        return request(model, method, texts)

    without_suites = config.model_copy(update={"behavior": config.behavior.model_copy(update={"suites": []})})
    monkeypatch.setattr(IsolatedModel, "_request", recorded)
    results = []
    for batch_rows in (5000, 7):
        requests.clear()
        monkeypatch.setattr(compared_models, "BATCH_ROWS", batch_rows)
        inputs = collect_gate_inputs(without_suites, root, registry, Candidate(*published), IsolationOptions())
        assert isinstance(inputs, GateInputs)
        assert max(requests) == min(batch_rows, ROWS)
        results.append(replace(measured(inputs, config), challenger_ms=None, champion_ms=None))
    assert results[0] == results[1]
