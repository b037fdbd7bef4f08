"""The baselines that AtNet must beat."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from atnet.baselines.baselines import fit_baselines, report
from atnet.baselines.linear import binarize, log_count_ratios, normalize_to_one, word_ngrams
from atnet.config import BaselineConfig, Params
from atnet.errors import DataContractError
from atnet.files import BASELINE, BASELINE_METRICS, BASELINE_PREDICTIONS, split_table
from atnet.stages import baseline as stage
from atnet.storage import read_json, read_table, write_table
from tests.texts import labeled_texts

LINEAR = ("tfidf_logistic_regression", "nb_svm")


@pytest.fixture
def config(params: Params) -> BaselineConfig:
    return params.baseline


def with_values(config: BaselineConfig, **values: Any) -> BaselineConfig:
    """Copy the section with other values."""
    return config.model_copy(update=values)


def splits_of(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Split a table into train, validation and test."""
    ends = len(table) * 6 // 10, len(table) * 8 // 10
    return table[: ends[0]], table[ends[0] : ends[1]], table[ends[1] :]


def test_word_ngrams_are_listed_by_length() -> None:
    assert list(word_ngrams(["a", "b", "c"], max_n=2)) == ["a", "b", "c", "a b", "b c"]
    assert list(word_ngrams(["a"], max_n=3)) == ["a"]


def test_log_count_ratios_are_those_of_the_paper() -> None:
    counts = csr_array(np.array([[2.0, 0, 1], [1, 0, 0], [0, 3, 1]]))
    ratios = log_count_ratios(binarize(counts), np.array([True, True, False]), None)
    in_class, in_others = np.array([3, 1, 2]), np.array([1, 2, 2])
    assert np.allclose(ratios, np.log((in_class / 6) / (in_others / 5)))


def test_a_text_of_weight_two_counts_like_two_texts() -> None:
    binary = csr_array(np.array([[1.0, 0], [0, 1], [1, 1]]))
    in_class = np.array([True, False, True])
    weighted = log_count_ratios(binary, in_class, np.array([2.0, 1, 1]))
    repeated = log_count_ratios(csr_array(binary.toarray()[[0, 0, 1, 2]]), in_class[[0, 0, 1, 2]], None)
    assert np.allclose(weighted, repeated)


@pytest.mark.parametrize(("language", "labels"), [("en", 2), ("pt", 2), ("en", 6)])
def test_linear_models_beat_the_majority_class(config: BaselineConfig, language: Any, labels: Any) -> None:
    train, validation, test = splits_of(labeled_texts(600, language, labels))
    metrics, predictions = report(fit_baselines(train, validation, config), validation, test)
    for name in LINEAR:
        assert metrics["test"][name]["accuracy"] > 0.8
        assert metrics["chosen"][name]["C"] in config.regularization
    assert metrics["test"]["majority"]["accuracy"] < 0.7
    assert predictions.columns.tolist() == ["id", "majority", *LINEAR]
    assert predictions["id"].tolist() == test["id"].tolist()


@pytest.mark.parametrize("labels", [2, 6])
def test_the_most_probable_label_is_the_predicted_one(config: BaselineConfig, labels: Any) -> None:
    train, validation, test = splits_of(labeled_texts(300, labels=labels))
    baselines = fit_baselines(train, validation, config)
    texts = [*test["text"], "", "\u2603 nothing known"]
    predicted = baselines.predict(texts)
    for name, probabilities in baselines.probabilities(texts).items():
        assert probabilities.shape == (len(texts), labels)
        assert np.allclose(probabilities.sum(axis=1), 1)
        assert [baselines.labels[best] for best in probabilities.argmax(axis=1)] == predicted[name].tolist()


def test_probabilities_of_extreme_scores_are_finite() -> None:
    assert np.isfinite(normalize_to_one(np.array([[-1e6, 1e6], [-1e6, -1e6]]))).all()


def test_regularization_is_chosen_on_validation(config: BaselineConfig) -> None:
    train, validation, _ = splits_of(labeled_texts(400))
    accuracy = {}
    for value in (0.001, 3.0):
        single = fit_baselines(train, validation, with_values(config, regularization=[value]))
        predicted = single.predict(validation["text"].tolist())["nb_svm"]
        accuracy[value] = (predicted == validation["label"].to_numpy()).mean()
    both = fit_baselines(train, validation, with_values(config, regularization=[3.0, 0.001]))
    best = min(value for value in accuracy if accuracy[value] == max(accuracy.values()))
    assert both.models["nb_svm"].regularization == best


def test_a_row_of_negligible_weight_has_no_influence(config: BaselineConfig) -> None:
    train, validation, test = splits_of(labeled_texts(300))
    wrong = train.assign(label=train["label"].map({"negative": "positive", "positive": "negative"}), weight=1e-9)
    baselines = fit_baselines(pd.concat([train.assign(weight=1.0), wrong]), validation, config)
    assert (baselines.predict(test["text"].tolist())["nb_svm"] == test["label"].to_numpy()).mean() > 0.8


def test_without_a_frequent_ngram_all_ngrams_are_features(config: BaselineConfig) -> None:
    train = pd.DataFrame({"id": list("ab"), "text": ["good", "bad"], "label": ["positive", "negative"]})
    baselines = fit_baselines(train, train, with_values(config, min_document_frequency=5))
    assert baselines.predict(["bad", "good"])["nb_svm"].tolist() == ["negative", "positive"]
    assert report(baselines, train, train)[0]["chosen"]["min_document_frequency"] == 1


def test_texts_without_words_are_refused(config: BaselineConfig) -> None:
    train = pd.DataFrame({"id": list("ab"), "text": ["", " "], "label": ["positive", "negative"]})
    with pytest.raises(DataContractError, match="contain no words"):
        fit_baselines(train, train, config)


def test_a_single_label_is_refused(config: BaselineConfig) -> None:
    train = labeled_texts(20).assign(label="only")
    with pytest.raises(DataContractError, match=r"All training rows have the label 'only'"):
        fit_baselines(train, train, config)


def test_the_stage_writes_the_same_bytes_twice(project: Path, tmp_path: Path) -> None:
    outputs = []
    for name, split in zip(("train", "validation", "test"), splits_of(labeled_texts(200, "pt")), strict=True):
        write_table(tmp_path / split_table(name), split)
    shutil.copy(project / "params.yaml", tmp_path)
    for _ in range(2):
        assert stage.main(["--root", str(tmp_path)]) == 0
        outputs.append({path.name: path.read_bytes() for path in (tmp_path / BASELINE).iterdir()})
    assert outputs[0] == outputs[1]
    assert sorted(outputs[0]) == ["metrics.json", "predictions.parquet"]
    assert set(read_json(tmp_path / BASELINE_METRICS)) == {"validation", "test", "chosen"}
    assert len(read_table(tmp_path / BASELINE_PREDICTIONS)) == 40


def test_every_fit_is_reported(config: BaselineConfig) -> None:
    train, validation, _ = splits_of(labeled_texts(100))
    messages: list[str] = []
    fit_baselines(train, validation, with_values(config, regularization=[1.0, 3.0]), messages.append)

    assert len(messages) == 2 * len(LINEAR)
    assert messages[0].startswith("tfidf_logistic_regression, C = 1: validation accuracy ")
