"""The network: the published AtNet to the letter, and what the repaired one promises."""

import keras
import numpy as np
import pytest

from atnet.network.model import architecture_json, build_model, rebuild

MODES = ["published", "rescaled", "pooled"]


@pytest.fixture
def config(params):
    return params.train.model_copy(update={"embedding_dimensions": 8})


def build(config, mode, classes=2, precision="float32"):
    keras.utils.set_random_seed(1)
    settings = config.model_copy(update={"attention": mode})
    return build_model(settings, vocabulary_size=50, classes=classes, precision=precision)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def test_seed_mode_has_the_published_number_of_parameters(params):
    config = params.train.model_copy(update={"attention": "published", "embedding_dimensions": 128})
    model = build_model(config, vocabulary_size=50, classes=2)
    model(np.ones((1, 500), np.int32))
    assert model.count_params() - model.get_layer("embedding").count_params() == 41_750


def test_seed_mode_is_the_published_formula(config):
    """A direct transcription: Conv1D, tanh scores, softmax over positions, product, maximum, dense, sigmoid."""
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


@pytest.mark.parametrize("mode", ["rescaled", "pooled"])
@pytest.mark.parametrize("classes", [2, 6])
def test_padding_and_batch_company_change_no_answer(config, mode, classes):
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
def test_a_network_comes_back_from_its_architecture_and_weights(config, mode, tmp_path):
    model = build(config, mode)
    model.save_weights(tmp_path / "model.weights.h5")
    again = rebuild(architecture_json(model))
    again.load_weights(tmp_path / "model.weights.h5")
    tokens = np.random.default_rng(0).integers(0, 50, (4, 30)).astype(np.int32)
    np.testing.assert_array_equal(model(tokens)["logits"], again(tokens)["logits"])


def test_the_architecture_reads_the_same_in_every_process(config):
    first, second = build(config, "pooled"), build(config, "pooled")
    assert architecture_json(first) == architecture_json(second)
