"""The exported network: the same outputs as Keras, and the same bytes in every export."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest

from atnet.config import Params
from atnet.errors import ModelError
from atnet.network.export import check_export, to_onnx
from atnet.network.model import add_wide_branch, build_model
from tests.encoded import random_wide_branch

TOKENS = np.array([[2, 3, 4, 29, 0, 0], [7, 8, 7, 8, 11, 12]], np.int32)
NetworkFactory = Callable[[Any, int, bool], keras.Model]
CASES = [
    ("published", 2, False),
    ("published", 3, False),
    ("rescaled", 2, True),
    ("pooled", 2, True),
    ("pooled", 5, True),
]


@pytest.fixture(scope="module")
def networks(params: Params) -> NetworkFactory:
    def build(mode: Any, classes: int, wide: bool) -> keras.Model:
        keras.utils.set_random_seed(3)
        config = params.train.model_copy(update={"attention": mode, "embedding_dimensions": 8})
        model = build_model(config, vocabulary_size=20, classes=classes)
        return add_wide_branch(model, random_wide_branch(classes, 30), (0.7, 1.2)) if wide else model

    return build


def run_exported(exported: bytes) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    return lambda tokens: tuple(session.run(["logits", "attention"], {"tokens": tokens}))


@pytest.mark.parametrize(("mode", "classes", "wide"), CASES)
def test_the_export_equals_keras_and_repeats_its_bytes(
    networks: NetworkFactory, mode: str, classes: int, wide: bool
) -> None:
    network = networks(mode, classes, wide)
    exported = to_onnx(network)
    assert check_export(network, run_exported(exported), TOKENS).largest_difference < 1e-5
    assert to_onnx(networks(mode, classes, wide)) == exported


@pytest.mark.parametrize("classes", [2, 5])
def test_the_wide_contributions_are_exported_and_one_token_is_enough(networks: NetworkFactory, classes: int) -> None:
    network = networks("pooled", classes, True)
    session = onnxruntime.InferenceSession(to_onnx(network), providers=["CPUExecutionProvider"])
    for tokens in (TOKENS, TOKENS[:, :1]):
        wide, logits = session.run(["wide", "logits"], {"tokens": tokens})
        np.testing.assert_allclose(wide, network(tokens)["wide"], atol=1e-5)
        np.testing.assert_allclose(logits, network(tokens)["logits"], atol=1e-5)


def test_an_export_with_other_outputs_is_refused(networks: NetworkFactory) -> None:
    network = networks("pooled", 2, True)
    exact = run_exported(to_onnx(network))
    with pytest.raises(ModelError, match="differs from Keras"):
        check_export(network, lambda tokens: (exact(tokens)[0] + 0.01, exact(tokens)[1]), TOKENS)
