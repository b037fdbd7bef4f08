"""The network: the published AtNet exactly as in the article, and the properties of the other modes."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from atnet.config import Params, TrainConfig
from atnet.network.model import add_wide_branch, architecture_json, build_model, rebuild
from tests.encoded import random_wide_branch

MODES = ["published", "rescaled", "pooled"]


@pytest.fixture
def config(params: Params) -> TrainConfig:
    return params.train.model_copy(update={"embedding_dimensions": 8})


def build(config: TrainConfig, mode: str, classes: int = 2) -> keras.Model:
    keras.utils.set_random_seed(1)
    settings = config.model_copy(update={"attention": mode})
    return build_model(settings, vocabulary_size=50, classes=classes)


def sigmoid(values: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-values)))


def test_published_mode_has_the_published_number_of_parameters(params: Params) -> None:
    config = params.train.model_copy(update={"attention": "published", "embedding_dimensions": 128})
    model = build_model(config, vocabulary_size=50, classes=2)
    model(np.ones((1, 500), np.int32))
    assert model.count_params() - model.get_layer("embedding").count_params() == 41_750


def test_published_mode_computes_the_published_formula(config: TrainConfig) -> None:
    """Compare with a transcription: Conv1D, tanh scores, softmax over positions, product, max, dense, sigmoid."""
    model = build(config, "published")
    tokens = np.random.default_rng(0).integers(0, 50, (4, 30)).astype(np.int32)
    table, kernel, bias, score, score_bias, hidden, hidden_bias, out, out_bias = model.get_weights()
    embedded = np.pad(table[tokens], ((0, 0), (2, 2), (0, 0)))
    windows = np.stack([embedded[:, shift : shift + 30] for shift in range(5)], axis=2)
    features = np.maximum(np.einsum("btkd,kdf->btf", windows, kernel) + bias, 0)
    scores = np.tanh(features @ score + score_bias)
    weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    pooled = (features * weights).max(axis=1)
    expected = sigmoid(np.maximum(pooled @ hidden + hidden_bias, 0) @ out + out_bias)[:, 0]
    outputs = model(tokens)
    np.testing.assert_allclose(keras.ops.softmax(outputs["logits"])[:, 1], expected, rtol=1e-5)
    np.testing.assert_allclose(outputs["attention"], weights[..., 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("units", "mode", "classes", "expected"),
    [("auto", "pooled", 2, 10), ("auto", "pooled", 77, 77), ("auto", "published", 77, 10), (5, "pooled", 77, 5)],
)
def test_the_dense_layer_has_at_least_one_unit_per_label(
    config: TrainConfig, units: Any, mode: str, classes: int, expected: int
) -> None:
    model = build(config.model_copy(update={"hidden_units": units}), mode, classes)
    assert model.get_layer("hidden").units == expected


@pytest.mark.parametrize("mode", ["rescaled", "pooled"])
@pytest.mark.parametrize("classes", [2, 6])
def test_padding_and_the_other_texts_of_a_batch_change_no_output(config: TrainConfig, mode: str, classes: int) -> None:
    model = build(config, mode, classes)
    rng = np.random.default_rng(0)
    texts = [rng.integers(2, 50, size=size) for size in (1, 3, 9, 17)]
    batch = np.zeros((4, 40), np.int32)
    for row, text in enumerate(texts):
        batch[row, : len(text)] = text
    together = model(batch)
    for row, text in enumerate(texts):
        alone = model(text[None].astype(np.int32))
        np.testing.assert_allclose(alone["logits"][0], together["logits"][row], atol=1e-6)
        np.testing.assert_allclose(alone["attention"][0], together["attention"][row, : len(text)], atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wide", [False, True])
def test_a_network_is_rebuilt_from_its_architecture_and_weights(
    config: TrainConfig, mode: str, wide: bool, tmp_path: Path
) -> None:
    model = build(config, mode)
    if wide:
        model = add_wide_branch(model, random_wide_branch(2, 60), (0.7, 1.2))
    model.save_weights(tmp_path / "model.weights.h5")
    rebuilt = rebuild(architecture_json(model))
    rebuilt.load_weights(tmp_path / "model.weights.h5")
    tokens = np.random.default_rng(0).integers(0, 50, (4, 30)).astype(np.int32)
    np.testing.assert_array_equal(model(tokens)["logits"], rebuilt(tokens)["logits"])


def test_the_architecture_is_the_same_text_in_every_process(config: TrainConfig) -> None:
    first, second = build(config, "pooled"), build(config, "pooled")
    assert architecture_json(first) == architecture_json(second)


def test_the_architecture_does_not_say_in_which_module_a_layer_is_defined(config: TrainConfig) -> None:
    architecture = architecture_json(add_wide_branch(build(config, "pooled"), random_wide_branch(2, 60), (1.0, 1.0)))
    assert '"atnet>WideNgrams"' in architecture
    assert '"atnet.' not in architecture


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("classes", [2, 3])
def test_the_network_overfits_one_batch(config: TrainConfig, mode: Any, classes: int) -> None:
    settings = config.model_copy(update={"attention": mode, "dropout": 0.0, "embedding_dropout": 0.0})
    keras.utils.set_random_seed(3)
    model = build_model(settings, vocabulary_size=50, classes=classes)
    tokens = np.random.default_rng(0).integers(2, 50, (12, 10)).astype(np.int32)
    labels = np.arange(12) % classes
    logits = keras.Model(model.input, model.output["logits"])
    logits.compile(keras.optimizers.Adam(0.03), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for _ in range(60):
        loss = logits.train_on_batch(tokens, labels)
    assert loss < 0.1
