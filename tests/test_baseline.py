"""The simple models that AtNet must beat."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from atnet.baselines.baselines import fit_baselines, report
from atnet.baselines.linear import binarize, log_count_ratios, ngrams, probabilities
from atnet.config import BaselineConfig, Params
from atnet.errors import DataContractError
from atnet.files import BASELINE, BASELINE_METRICS, BASELINE_PREDICTIONS, split_table
from atnet.stages import baseline as stage
from atnet.storage import read_json, read_table, write_table
from texts import labeled_texts

LINEAR = ("tfidf_logistic_regression", "nb_svm")


@pytest.fixture
def config(params: Params) -> BaselineConfig:
    return params.baseline


def changed(config: BaselineConfig, **values: Any) -> BaselineConfig:
    """Copy the section with other values."""
    return config.model_copy(update=values)


def parts(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Cut train, validation and test."""
    cuts = len(table) * 6 // 10, len(table) * 8 // 10
    return table[: cuts[0]], table[cuts[0] : cuts[1]], table[cuts[1] :]


def test_ngrams_are_all_runs_up_to_the_longest() -> None:
    assert list(ngrams(["a", "b", "c"], longest=2)) == ["a", "b", "c", "a b", "b c"]
    assert list(ngrams(["a"], longest=3)) == ["a"]


def test_ratios_are_those_of_the_paper() -> None:
    counts = csr_array(np.array([[2.0, 0, 1], [1, 0, 0], [0, 3, 1]]))
    found = log_count_ratios(binarize(counts), np.array([True, True, False]), None)
    inside, outside = np.array([3, 1, 2]), np.array([1, 2, 2])
    assert np.allclose(found, np.log((inside / 6) / (outside / 5)))


def test_weights_count_a_text_as_often_as_stated() -> None:
    present = csr_array(np.array([[1.0, 0], [0, 1], [1, 1]]))
    inside = np.array([True, False, True])
    weighted = log_count_ratios(present, inside, np.array([2.0, 1, 1]))
    repeated = log_count_ratios(csr_array(present.toarray()[[0, 0, 1, 2]]), inside[[0, 0, 1, 2]], None)
    assert np.allclose(weighted, repeated)


@pytest.mark.parametrize(("language", "labels"), [("en", 2), ("pt", 2), ("en", 6)])
def test_linear_models_learn_what_the_majority_cannot(config: BaselineConfig, language: Any, labels: Any) -> None:
    train, validation, test = parts(labeled_texts(600, language, labels))
    metrics, predictions = report(fit_baselines(train, validation, config), validation, test)
    for name in LINEAR:
        assert metrics["test"][name]["accuracy"] > 0.8
        assert metrics["chosen"][name]["C"] in config.regularization
    assert metrics["test"]["majority"]["accuracy"] < 0.7
    assert predictions.columns.tolist() == ["id", "majority", *LINEAR]
    assert predictions["id"].tolist() == test["id"].tolist()


@pytest.mark.parametrize("labels", [2, 6])
def test_probabilities_agree_with_the_labels(config: BaselineConfig, labels: Any) -> None:
    train, validation, test = parts(labeled_texts(300, labels=labels))
    baselines = fit_baselines(train, validation, config)
    texts = [*test["text"], "", "\u2603 nothing known"]
    given = baselines.predict(texts)
    for name, shares in baselines.probabilities(texts).items():
        assert shares.shape == (len(texts), labels)
        assert np.allclose(shares.sum(axis=1), 1)
        assert [baselines.labels[best] for best in shares.argmax(axis=1)] == given[name].tolist()


def test_probabilities_bear_the_largest_scores() -> None:
    assert np.isfinite(probabilities(np.array([[-1e6, 1e6], [-1e6, -1e6]]))).all()


def test_regularisation_is_chosen_on_validation(config: BaselineConfig) -> None:
    train, validation, _ = parts(labeled_texts(400))
    quality = {}
    for value in (0.001, 3.0):
        alone = fit_baselines(train, validation, changed(config, regularization=[value]))
        quality[value] = (alone.predict(validation["text"].tolist())["nb_svm"] == validation["label"].to_numpy()).mean()
    both = fit_baselines(train, validation, changed(config, regularization=[3.0, 0.001]))
    best = min(value for value in quality if quality[value] == max(quality.values()))
    assert both.models["nb_svm"].regularization == best


def test_a_weight_of_nothing_leaves_a_row_out(config: BaselineConfig) -> None:
    train, validation, test = parts(labeled_texts(300))
    wrong = train.assign(label=train["label"].map({"negative": "positive", "positive": "negative"}), weight=1e-9)
    both = fit_baselines(pd.concat([train.assign(weight=1.0), wrong]), validation, config)
    assert (both.predict(test["text"].tolist())["nb_svm"] == test["label"].to_numpy()).mean() > 0.8


def test_texts_without_a_frequent_ngram_are_fitted_on_all(config: BaselineConfig) -> None:
    train = pd.DataFrame({"id": list("ab"), "text": ["good", "bad"], "label": ["positive", "negative"]})
    baselines = fit_baselines(train, train, changed(config, min_document_frequency=5))
    assert baselines.predict(["bad", "good"])["nb_svm"].tolist() == ["negative", "positive"]
    assert report(baselines, train, train)[0]["chosen"]["min_document_frequency"] == 1


def test_texts_without_words_are_refused(config: BaselineConfig) -> None:
    train = pd.DataFrame({"id": list("ab"), "text": ["", " "], "label": ["positive", "negative"]})
    with pytest.raises(DataContractError, match="hold no words"):
        fit_baselines(train, train, config)


def test_one_label_is_refused(config: BaselineConfig) -> None:
    train = labeled_texts(20).assign(label="one")
    with pytest.raises(DataContractError, match=r"Train has the one label \['one'\]"):
        fit_baselines(train, train, config)


def test_the_stage_writes_the_same_bytes_twice(project: Path, tmp_path: Path) -> None:
    written = []
    for name, split in zip(("train", "validation", "test"), parts(labeled_texts(200, "pt")), strict=True):
        write_table(tmp_path / split_table(name), split)
    shutil.copy(project / "params.yaml", tmp_path)
    for _ in range(2):
        assert stage.main(["--root", str(tmp_path)]) == 0
        written.append({path.name: path.read_bytes() for path in (tmp_path / BASELINE).iterdir()})
    assert written[0] == written[1]
    assert sorted(written[0]) == ["metrics.json", "predictions.parquet"]
    assert set(read_json(tmp_path / BASELINE_METRICS)) == {"validation", "test", "chosen"}
    assert len(read_table(tmp_path / BASELINE_PREDICTIONS)) == 40
