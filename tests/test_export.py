"""The exported network answers as Keras does, and reads the same every time."""

import keras
import numpy as np
import onnxruntime
import pytest

from atnet.errors import ModelError
from atnet.export import check_export, fit_temperature, to_onnx
from atnet.model import build_model

TOKENS = np.array([[2, 3, 4, 5, 0, 0], [7, 8, 9, 10, 11, 12]], np.int32)


@pytest.fixture(scope="module")
def networks(params):
    def build(mode, classes, wide):
        keras.utils.set_random_seed(3)
        config = params.train.model_copy(update={"attention": mode, "embedding_dimensions": 8})
        model = build_model(config, vocabulary_size=30, classes=classes, wide_buckets=1024 if wide else None)
        if wide:
            ratios = model.get_layer("wide").ratios
            ratios.assign(np.random.default_rng(0).normal(size=ratios.shape))
        return model

    return build


def answers(exported):
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    return lambda tokens: tuple(session.run(["logits", "attention"], {"tokens": tokens}))


CASES = [("seed", 2, False), ("seed", 3, False), ("rescaled", 2, True), ("pooled", 2, True), ("pooled", 5, True)]


@pytest.mark.parametrize(("mode", "classes", "wide"), CASES)
def test_the_export_answers_as_keras_and_repeats_its_bytes(networks, mode, classes, wide):
    network = networks(mode, classes, wide)
    exported = to_onnx(network)
    assert check_export(network, answers(exported), TOKENS).largest_difference < 1e-5
    assert to_onnx(networks(mode, classes, wide)) == exported


def test_a_wrong_export_is_refused(networks):
    network = networks("pooled", 2, True)
    exact = answers(to_onnx(network))
    with pytest.raises(ModelError, match="differs from Keras"):
        check_export(network, lambda tokens: (exact(tokens)[0] + 0.01, exact(tokens)[1]), TOKENS)


def test_the_temperature_undoes_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 3))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(3, p=share) for share in shares])
    assert fit_temperature(logits * 2.5, labels) == pytest.approx(2.5, rel=0.05)
    assert fit_temperature(logits, labels) == pytest.approx(1, rel=0.05)
