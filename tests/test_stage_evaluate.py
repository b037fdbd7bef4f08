"""Stage `evaluate`: from a model folder and a test split to metrics, plots and the report."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atnet.files import BASELINE, BASELINE_PREDICTIONS, EVALUATION, MODEL, SPILL, SPLIT_REPORT, SPLITS, split_table
from atnet.inference import Predictor
from atnet.stages.evaluate import main
from atnet.table_batches import table_writer
from benchmarks.measure import measure
from tests.tinymodel import write_tiny_model

ROWS = 120
TEST = split_table("test")
FILES = {
    "details.json",
    "metrics.json",
    "plots/confusion.csv",
    "plots/length.csv",
    "plots/precision_recall.csv",
    "plots/reliability_after.csv",
    "plots/reliability_before.csv",
    "plots/reliability_ideal.csv",
    "plots/roc.csv",
    "predictions.parquet",
    "report.html",
    "slices.json",
}


@pytest.fixture
def inputs(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a model, a test split and baseline predictions, and change to their folder."""
    rng = np.random.default_rng(0)
    labels = rng.choice(["negative", "positive"], size=ROWS)
    words = {"positive": ["good", "fine"], "negative": ["bad", "awful"]}
    others = {"positive": "negative", "negative": "positive"}
    texts = [f"não é {rng.choice(words[label if rng.random() < 0.8 else others[label]])} 😀" for label in labels]
    table = pd.DataFrame({"id": [f"t{row}" for row in range(ROWS)], "text": texts, "label": labels})
    for folder in (SPLITS, BASELINE):
        (tmp_path / folder).mkdir(parents=True)
    table.assign(domain=rng.choice(["movie", "tweets"], size=ROWS)).to_parquet(tmp_path / TEST, index=False)
    sizes = {"train": {"rows": 900}, "validation": {"rows": 110}, "test": {"rows": ROWS}}
    report = {"splits": sizes, "leaks": {"train_test": {"shared_group": 0}}}
    (tmp_path / SPLIT_REPORT).write_text(json.dumps(report))
    guesses = table[["id"]].assign(majority="positive", nb_svm=np.where(rng.random(ROWS) < 0.7, labels, "negative"))
    guesses.to_parquet(tmp_path / BASELINE_PREDICTIONS, index=False)
    write_tiny_model(tmp_path / MODEL)
    shutil.copy(project / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run() -> int:
    return main([])


def test_all_files_are_written_and_consistent(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    out = inputs / EVALUATION
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == FILES
    table = pd.read_parquet(inputs / TEST)
    written = pd.read_parquet(out / "predictions.parquet")
    predicted = Predictor.load(inputs / MODEL).predict(table["text"].tolist())
    assert written["predicted"].tolist() == predicted.predicted
    assert list(written.columns) == ["id", "label", "predicted", "score", "p_negative", "p_positive"]
    np.testing.assert_allclose(written[["p_negative", "p_positive"]], predicted.probabilities)
    accuracy = json.loads((out / "metrics.json").read_text())["accuracy"]["value"]
    assert accuracy == pytest.approx((written["predicted"] == written["label"]).mean(), abs=1e-6)
    confusion = pd.read_csv(out / "plots" / "confusion.csv")
    assert (confusion["actual"] == confusion["predicted"]).mean() == pytest.approx(accuracy, abs=1e-6)
    assert f"{accuracy:.1%} of {ROWS} test texts" in capsys.readouterr().out


def test_every_additional_column_is_a_slice(inputs: Path) -> None:
    assert run() == 0
    slices = json.loads((inputs / EVALUATION / "slices.json").read_text())
    assert set(slices) == {"domain", "length", "unknown words"}
    assert sum(values["rows"] for values in slices["domain"].values()) == ROWS


def test_a_slice_has_the_confidence_of_its_rows_and_the_calibration_error(inputs: Path) -> None:
    assert run() == 0
    slices = json.loads((inputs / EVALUATION / "slices.json").read_text())
    table = pd.read_parquet(inputs / TEST)
    scores = pd.Series(Predictor.load(inputs / MODEL).predict(table["text"].tolist()).scores)
    scored = {name: values for name, values in slices["domain"].items() if "accuracy" in values}
    assert scored
    for name, values in scored.items():
        in_slice = (table["domain"] == name).to_numpy()
        assert values["confidence"] == pytest.approx(scores[in_slice].mean(), abs=1e-5)
        assert abs(values["confidence"] - values["accuracy"]["value"]) <= values["calibration_error"] + 1e-5


def test_coverage_of_a_model_with_a_reject_option_is_reported(inputs: Path) -> None:
    path = inputs / MODEL / "inference_config.json"
    config = json.loads(path.read_text())
    scores = Predictor.load(inputs / MODEL).predict(pd.read_parquet(inputs / TEST)["text"].tolist()).scores
    threshold = float(np.median(scores))
    path.write_text(json.dumps({**config, "reject_option": {"target_accuracy": 0.8, "min_confidence": threshold}}))
    assert run() == 0
    selective = json.loads((inputs / EVALUATION / "metrics.json").read_text())["selective"]
    assert selective["coverage"]["value"] == pytest.approx((scores >= threshold).mean(), abs=1e-6)
    assert selective["accuracy"]["low"] <= selective["accuracy"]["value"] <= selective["accuracy"]["high"]
    assert "Reject option" in (inputs / EVALUATION / "report.html").read_text()


def test_running_twice_gives_the_same_bytes(inputs: Path) -> None:
    assert run() == 0
    before = {name: (inputs / EVALUATION / name).read_bytes() for name in FILES}
    assert run() == 0
    for name in FILES:
        assert (inputs / EVALUATION / name).read_bytes() == before[name], name


def test_batches_of_a_few_rows_give_the_same_bytes(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    baselines = pd.read_parquet(inputs / BASELINE_PREDICTIONS)
    baselines.sample(frac=1, random_state=0).to_parquet(inputs / BASELINE_PREDICTIONS, index=False)
    assert run() == 0
    whole = {name: (inputs / EVALUATION / name).read_bytes() for name in FILES}
    shutil.rmtree(inputs / EVALUATION)
    monkeypatch.setattr("atnet.stages.evaluate.BATCH_ROWS", 7)
    monkeypatch.setattr("atnet.evaluation.metrics.BLOCK_ROWS", 11)
    assert run() == 0
    for name in FILES:
        assert (inputs / EVALUATION / name).read_bytes() == whole[name], name


def test_no_temporary_file_is_left(inputs: Path) -> None:
    assert run() == 0
    assert list((inputs / SPILL).iterdir()) == []


def test_a_damaged_model_is_named_and_nothing_is_written(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inputs / MODEL / "model.onnx").write_bytes(b"truncated")
    assert run() == 1
    assert "model.onnx" in capsys.readouterr().err
    assert not (inputs / EVALUATION).exists()


def test_missing_baselines_are_named(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inputs / BASELINE_PREDICTIONS).unlink()
    assert run() == 1
    message = capsys.readouterr().err
    assert "predictions.parquet is missing" in message
    assert "dvc repro" in message


def test_an_unknown_label_in_the_test_split_is_named(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = inputs / TEST
    pd.read_parquet(path).replace({"label": {"positive": "ótimo"}}).to_parquet(path, index=False)
    assert run() == 1
    assert "labels that the model does not know: ótimo" in capsys.readouterr().err


def peak_bytes(project: Path, rows: int) -> int:
    """Evaluate that many rows of long texts in a separate process; return its peak memory."""
    rng = np.random.default_rng(0)
    text = "good and bad words that the model does not know " * 70
    with table_writer(project / TEST) as tests, table_writer(project / BASELINE_PREDICTIONS) as baselines:
        for start in range(0, rows, 4_000):
            batch = range(start, min(start + 4_000, rows))
            table = pd.DataFrame({"id": [f"t{row}" for row in batch], "text": [f"{text}{row}" for row in batch]})
            tests.write(table.assign(label=rng.choice(["negative", "positive"], size=len(table))))
            baselines.write(table[["id"]].assign(majority="positive"))
    return measure([sys.executable, "-m", "atnet.stages.evaluate"], project).peak_bytes


@pytest.mark.slow
def test_the_texts_of_a_large_test_split_are_not_in_memory(inputs: Path) -> None:
    few, many = peak_bytes(inputs, 20_000), peak_bytes(inputs, 60_000)
    # The texts alone take 130 MB more, their tokens many times that.
    assert many - few < 60e6
