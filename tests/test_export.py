"""The exported network answers as Keras does, and reads the same every time."""

import keras
import numpy as np
import onnxruntime
import pytest

from atnet.errors import ModelError
from atnet.network.export import check_export, to_onnx
from atnet.network.model import build_model, with_wide
from encoded import some_wide

TOKENS = np.array([[2, 3, 4, 29, 0, 0], [7, 8, 7, 8, 11, 12]], np.int32)


@pytest.fixture(scope="module")
def networks(params):
    def build(mode, classes, wide):
        keras.utils.set_random_seed(3)
        config = params.train.model_copy(update={"attention": mode, "embedding_dimensions": 8})
        model = build_model(config, vocabulary_size=20, classes=classes)
        return with_wide(model, some_wide(classes, 30), (0.7, 1.2)) if wide else model

    return build


def answers(exported):
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    return lambda tokens: tuple(session.run(["logits", "attention"], {"tokens": tokens}))


CASES = [
    ("published", 2, False),
    ("published", 3, False),
    ("rescaled", 2, True),
    ("pooled", 2, True),
    ("pooled", 5, True),
]


@pytest.mark.parametrize(("mode", "classes", "wide"), CASES)
def test_the_export_answers_as_keras_and_repeats_its_bytes(networks, mode, classes, wide):
    network = networks(mode, classes, wide)
    exported = to_onnx(network)
    assert check_export(network, answers(exported), TOKENS).largest_difference < 1e-5
    assert to_onnx(networks(mode, classes, wide)) == exported


@pytest.mark.parametrize("classes", [2, 5])
def test_what_the_wide_branch_says_is_exported_and_a_text_of_one_token_answered(networks, classes):
    network = networks("pooled", classes, True)
    session = onnxruntime.InferenceSession(to_onnx(network), providers=["CPUExecutionProvider"])
    for tokens in (TOKENS, TOKENS[:, :1]):
        said, logits = session.run(["wide", "logits"], {"tokens": tokens})
        np.testing.assert_allclose(said, network(tokens)["wide"], atol=1e-5)
        np.testing.assert_allclose(logits, network(tokens)["logits"], atol=1e-5)


def test_a_wrong_export_is_refused(networks):
    network = networks("pooled", 2, True)
    exact = answers(to_onnx(network))
    with pytest.raises(ModelError, match="differs from Keras"):
        check_export(network, lambda tokens: (exact(tokens)[0] + 0.01, exact(tokens)[1]), TOKENS)
