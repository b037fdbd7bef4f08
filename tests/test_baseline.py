"""The baselines that AtNet must beat."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from atnet.baselines.baselines import PATIENCE, Baselines, fit_baselines
from atnet.baselines.features import fit_counter, tokenize_words, word_ngrams
from atnet.baselines.linear import TrainingTexts, binarize, log_count_ratios, normalize_to_one, tfidf_fitter
from atnet.baselines.sampling import read_sample
from atnet.baselines.scores import SplitPredictor, report
from atnet.baselines.svm import svm_fitter
from atnet.config import BaselineConfig, Params
from atnet.errors import DataContractError
from atnet.evaluation.metrics import log_losses
from atnet.files import BASELINE, BASELINE_METRICS, BASELINE_PREDICTIONS, split_table
from atnet.stages import baseline as stage
from atnet.storage import read_json, read_table, write_table
from tests.texts import labeled_texts

LINEAR = ("tfidf_logistic_regression", "nb_svm", "linear_svm")
LONGEST = 40
"""Words that no generated text exceeds."""


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


def report_of(
    baselines: Baselines, validation: pd.DataFrame, test: pd.DataFrame
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the metrics of both splits and the predicted labels of the test rows."""
    on_validation, on_test = SplitPredictor(baselines), SplitPredictor(baselines)
    on_validation.predict(validation)
    predictions = on_test.predict(test)
    return report(baselines, on_validation.scores(), on_test.scores(), {}), predictions


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
    metrics, predictions = report_of(fit_baselines(train, validation, config), validation, test)
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
    assert report_of(baselines, train, train)[0]["chosen"]["min_document_frequency"] == 1


@pytest.mark.parametrize("labels", [2, 6])
def test_the_probabilities_of_the_svm_are_calibrated_on_validation(config: BaselineConfig, labels: Any) -> None:
    train, validation, _ = splits_of(labeled_texts(600, labels=labels))
    # A tenth of wrong labels: a model that is certain everywhere would have a much higher log-loss.
    rng = np.random.default_rng(0)
    noisy = validation.assign(label=np.where(rng.random(len(validation)) < 0.1, "negative", validation["label"]))
    names = sorted(train["label"].unique())
    noisy["label"] = np.where(noisy["label"].isin(names), noisy["label"], names[0])
    baselines = fit_baselines(train, noisy, config, models=["linear_svm"])
    predictor = SplitPredictor(baselines)
    predictor.predict(noisy)
    scores = predictor.scores()["linear_svm"]
    model = baselines.models["linear_svm"]
    counts = baselines.counter.transform(noisy["text"].tolist())
    actual = pd.Index(names).get_indexer(pd.Index(noisy["label"]))
    for factor in (0.5, 2.0):
        other = log_losses(actual, model.scaled(factor).probabilities(counts)).mean()
        assert scores["log_loss"] < other
    assert scores["calibration_error"] < 0.2


def test_the_svm_reads_the_spelling_of_words_it_has_never_seen(config: BaselineConfig) -> None:
    train = pd.DataFrame(
        {
            "id": [str(row) for row in range(40)],
            "text": ["unhappy", "unlucky", "happy", "lucky"] * 10,
            "label": ["negative", "negative", "positive", "positive"] * 10,
        }
    )
    baselines = fit_baselines(train, train, config)
    assert baselines.predict(["unluckier", "luckier"])["linear_svm"].tolist() == ["negative", "positive"]


def test_the_svm_is_fitted_on_at_most_the_configured_number_of_tokens(config: BaselineConfig) -> None:
    train, validation, _ = splits_of(labeled_texts(300))
    counter, counts = fit_counter(train["text"].tolist(), max_n=2, min_document_frequency=2)
    classes = pd.Index(sorted(train["label"].unique())).get_indexer(pd.Index(train["label"]))
    texts, tokens = TrainingTexts(counts, classes, 2, None), int(counts.vocabulary_NV.sum())
    scored = counter.transform(validation["text"].tolist())

    def scores(max_tokens: int | None) -> Any:
        fit = svm_fitter(texts, max_tokens=max_tokens, seed=config.seed)
        return fit(1.0).decision_function(scored)

    assert np.array_equal(scores(None), scores(tokens))
    assert not np.array_equal(scores(None), scores(tokens // 2))
    assert np.array_equal(scores(tokens // 2), scores(tokens // 2))


def test_the_search_stops_when_larger_values_do_not_gain(config: BaselineConfig) -> None:
    train, validation, _ = splits_of(labeled_texts(300))
    fits: list[str] = []
    baselines = fit_baselines(train, validation, config, models=["nb_svm"], on_fit=fits.append)
    chosen = sorted(config.regularization).index(baselines.models["nb_svm"].regularization)
    assert len(fits) == min(chosen + 1 + PATIENCE, len(config.regularization))
    assert fits[0].startswith("nb_svm, C = 0.03: validation accuracy ")
    best = with_values(config, regularization=sorted(config.regularization)[: chosen + 1])
    again = fit_baselines(train, validation, best, models=["nb_svm"])
    assert again.models["nb_svm"].regularization == baselines.models["nb_svm"].regularization


def test_more_than_two_classes_are_fitted_together_by_their_log_loss() -> None:
    train, _, test = splits_of(labeled_texts(600, labels=6))
    counter, counts = fit_counter(train["text"].tolist(), max_n=2, min_document_frequency=2)
    classes = pd.Index(sorted(train["label"].unique())).get_indexer(pd.Index(train["label"]))
    model = tfidf_fitter(TrainingTexts(counts, classes, 6, None), seed=13)(3.0)
    features = TfidfTransformer(sublinear_tf=True).fit_transform(counts.words_NF)
    reference = LogisticRegression(C=3.0, tol=1e-6, max_iter=1000).fit(features, classes)
    expected = reference.predict_proba(
        TfidfTransformer(sublinear_tf=True)
        .fit(counts.words_NF)
        .transform(counter.transform(test["text"].tolist()).words_NF)
    )
    assert np.allclose(model.probabilities(counter.transform(test["text"].tolist())), expected, atol=0.02)


def test_models_of_many_classes_are_the_same_when_they_are_fitted_one_after_the_other(
    config: BaselineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, validation, _ = splits_of(labeled_texts(300, labels=6))
    at_once = fit_baselines(train, validation, config)
    monkeypatch.setattr("atnet.baselines.baselines.THREADS", 1)
    in_turn = fit_baselines(train, validation, config)
    assert list(at_once.models) == list(in_turn.models)
    for name, model in in_turn.models.items():
        assert model.regularization == at_once.models[name].regularization
        assert np.array_equal(model.weights_FC, at_once.models[name].weights_FC)


def test_a_label_that_only_validation_has_does_not_stop_the_fit(config: BaselineConfig) -> None:
    train, validation, _ = splits_of(labeled_texts(300))
    validation = validation.assign(label=["new", *validation["label"][1:]])
    baselines = fit_baselines(train, validation, config)
    metrics, _ = report_of(baselines, validation, validation)
    assert metrics["validation"]["linear_svm"]["log_loss"] < 1


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
    fit_baselines(train, validation, with_values(config, regularization=[1.0, 3.0]), on_fit=messages.append)

    assert len(messages) == 2 * len(LINEAR)
    assert messages[0].startswith("tfidf_logistic_regression, C = 1: validation accuracy ")


@pytest.fixture
def train_file(tmp_path: Path) -> Path:
    """Write a split of 300 texts, of which one has a label of its own kind."""
    table = labeled_texts(300)
    table.loc[7, "label"] = "rare"
    write_table(tmp_path / "train.parquet", table)
    return tmp_path / "train.parquet"


@pytest.mark.parametrize("batch_rows", [10_000, 7])
def test_a_split_below_the_limit_is_read_whole(
    train_file: Path, batch_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("atnet.baselines.sampling.BATCH_ROWS", batch_rows)
    for max_tokens in (None, 1_000_000):
        whole = read_sample(train_file, max_tokens, 13)
        pd.testing.assert_frame_equal(whole.table, read_table(train_file))
        assert not whole.is_sample


def test_above_the_limit_whole_texts_are_sampled_with_one_of_each_label(
    train_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = sum(map(len, tokenize_words(read_table(train_file)["text"].tolist())))
    sample = read_sample(train_file, tokens // 3, 13)
    assert sample.is_sample
    assert sample.rows == 300
    used = sum(map(len, tokenize_words(sample.table["text"].tolist())))
    assert abs(used - tokens // 3) <= LONGEST
    assert set(sample.table["label"]) == {"negative", "positive", "rare"}
    assert sample.table["id"].is_unique
    assert sample.table["id"].isin(read_table(train_file)["id"]).all()
    monkeypatch.setattr("atnet.baselines.sampling.BATCH_ROWS", 7)
    pd.testing.assert_frame_equal(read_sample(train_file, tokens // 3, 13).table, sample.table)


def test_the_stage_says_that_a_sample_was_used(
    tmp_path: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (project / "params.yaml").read_text()
    assert "linear_max_tokens: 10000000 #" in text
    (tmp_path / "params.yaml").write_text(text.replace("linear_max_tokens: 10000000 #", "linear_max_tokens: 900 #"))
    train, validation, test = splits_of(labeled_texts(400))
    for name, rows in (("train", train), ("validation", validation), ("test", test)):
        write_table(tmp_path / split_table(name), rows)
    assert stage.main(["--root", str(tmp_path)]) == 0
    sampled = read_json(tmp_path / BASELINE_METRICS)["sampled"]
    assert sampled["train"]["of"] == len(train)
    assert 0 < sampled["train"]["rows"] < len(train)
    assert f"; fitted on {sampled['train']['rows']} of {len(train)} texts" in capsys.readouterr().out
    assert len(read_table(tmp_path / BASELINE_PREDICTIONS)) == len(test)


def test_predictions_in_batches_are_those_of_the_whole_split(config: BaselineConfig) -> None:
    train, validation, test = splits_of(labeled_texts(400))
    baselines = fit_baselines(train, validation, config)
    whole, batched = SplitPredictor(baselines), SplitPredictor(baselines)
    expected = whole.predict(test)
    predicted = pd.concat([batched.predict(test[start : start + 7]) for start in range(0, len(test), 7)])
    pd.testing.assert_frame_equal(predicted, expected)
    for name, scores in whole.scores().items():
        assert batched.scores()[name] == pytest.approx(scores, rel=1e-9)
