"""The exported network: the same outputs as Keras, and the same bytes in every export."""

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from atnet.config import Params
from atnet.errors import ModelError
from atnet.inference import CONTRIBUTIONS, DEEP_ONLY, LOGITS, create_session
from atnet.network.export import check_export, run_exported, to_onnx
from atnet.network.model import add_wide_branch, architecture_json, build_model, rebuild
from tests.encoded import pad, random_wide_branch

VOCABULARY = 30
TOKENS = np.array([[2, 3, 4, 29, 0, 0], [7, 8, 7, 8, 11, 12]], np.int32)
NetworkFactory = Callable[..., keras.Model]


@pytest.fixture(scope="module")
def networks(params: Params) -> NetworkFactory:
    def build(mode: Any = "pooled", classes: int = 2, max_n: int = 0, **settings: Any) -> keras.Model:
        keras.utils.set_random_seed(3)
        config = params.train.model_copy(update={"attention": mode, "embedding_dimensions": 8, **settings})
        model = build_model(config, vocabulary_size=20, classes=classes)
        # Biases are zero at first, which would hide an error.
        for weight in model.weights:
            weight.assign(weight + 0.1 * np.random.default_rng(len(weight.shape)).normal(size=weight.shape))
        if not max_n:
            return model
        return add_wide_branch(model, random_wide_branch(classes, VOCABULARY, max_n=max_n), (0.7, 1.2))

    return build


def random_texts(seed: int) -> np.ndarray:
    """Draw texts of 1 to 40 tokens from a small vocabulary, so that words and n-grams repeat."""
    rng = np.random.default_rng(seed)
    return pad([rng.integers(1, 6 + 6 * row, size=size).tolist() for row, size in enumerate((1, 2, 3, 17, 40))])


CASES = [
    ("published", 2, 0, 5),
    ("published", 3, 0, 4),
    ("rescaled", 2, 2, 5),
    ("rescaled", 3, 0, 4),
    ("pooled", 2, 2, 5),
    ("pooled", 2, 3, 4),
    ("pooled", 5, 2, 1),
    ("pooled", 5, 3, 5),
    ("pooled", 2, 0, 2),
]
"""Mode, labels, words of the longest n-gram (0: no wide branch), kernel size."""


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "classes", "max_n", "kernel_size"), CASES)
def test_every_exported_output_equals_keras(
    networks: NetworkFactory, mode: str, classes: int, max_n: int, kernel_size: int
) -> None:
    network = networks(mode, classes, max_n, kernel_size=kernel_size)
    run = run_exported(to_onnx(network))
    for tokens in (TOKENS, TOKENS[:, :1], TOKENS[:, :2], random_texts(0), random_texts(1)):
        assert check_export(network, run, tokens).largest_difference < 1e-5


def test_an_embedding_too_large_to_be_folded_is_exported_as_a_convolution(
    networks: NetworkFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = networks("pooled", 2, 2)
    folded = to_onnx(network)
    monkeypatch.setattr("atnet.network.network_graph.MAX_FOLDED_BYTES", 0)
    convolved = to_onnx(network)
    assert (b"Conv" in folded, b"Conv" in convolved) == (False, True)
    assert check_export(network, run_exported(convolved), random_texts(2)).largest_difference < 1e-5


@pytest.mark.parametrize("folded_bytes", [2**26, 0])
@pytest.mark.parametrize("embedding", ["static", "two_channels"])
def test_a_static_embedding_and_two_channels_are_exported(
    networks: NetworkFactory, monkeypatch: pytest.MonkeyPatch, embedding: str, folded_bytes: int
) -> None:
    monkeypatch.setattr("atnet.network.network_graph.MAX_FOLDED_BYTES", folded_bytes)
    network = networks("pooled", 2, 2, embedding=embedding)
    rebuilt = rebuild(architecture_json(network))
    rebuilt.set_weights(network.get_weights())
    run = run_exported(to_onnx(network))
    assert check_export(rebuilt, run, random_texts(3)).largest_difference < 1e-5


@pytest.mark.parametrize("max_n", [0, 2])
def test_two_exports_have_the_same_bytes(networks: NetworkFactory, max_n: int) -> None:
    assert to_onnx(networks("pooled", 3, max_n)) == to_onnx(networks("pooled", 3, max_n))


def test_the_logits_are_computed_from_the_exported_pooled_features(networks: NetworkFactory) -> None:
    network = networks("pooled", 3, 0)
    outputs = run_exported(to_onnx(network))(TOKENS)
    head = network.get_layer("logits")(network.get_layer("hidden")(outputs["pooled"]))
    np.testing.assert_allclose(outputs["logits"], head, atol=1e-6)


def test_the_input_detail_skips_only_what_it_says(networks: NetworkFactory) -> None:
    session = create_session(to_onnx(networks("pooled", 3, 2)))
    names = ["logits", "deep", "wide", "attention", "pooled"]

    def run(**options: Any) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {"tokens": TOKENS, **options}), strict=True))

    full, all_logits = run(), run(detail=np.array(LOGITS))
    deep_only, contributions = run(detail=np.array(DEEP_ONLY)), run(detail=np.array(CONTRIBUTIONS))
    for name in names:
        np.testing.assert_array_equal(full[name], contributions[name])
    for name in ("logits", "deep", "attention", "pooled"):
        np.testing.assert_array_equal(full[name], all_logits[name])
    for name in ("deep", "attention", "pooled"):
        np.testing.assert_array_equal(full[name], deep_only[name])
    assert not all_logits["wide"].any()
    assert not deep_only["wide"].any()
    np.testing.assert_allclose(full["logits"], full["deep"] + full["wide"].sum(axis=1), atol=1e-6)


def test_an_export_with_other_outputs_is_refused(networks: NetworkFactory) -> None:
    network = networks("pooled", 2, 2)
    run = run_exported(to_onnx(network))
    for name in ("logits", "attention", "wide", "deep"):

        def altered(tokens: np.ndarray, name: str = name) -> dict[str, np.ndarray]:
            outputs = run(tokens)
            return {**outputs, name: outputs[name] + 0.01}

        with pytest.raises(ModelError, match="differs from Keras"):
            check_export(network, altered, TOKENS)


def test_the_time_per_token_does_not_grow_with_the_length_of_a_text(networks: NetworkFactory) -> None:
    run = run_exported(to_onnx(networks("pooled", 2, 2)))

    def seconds_per_token(length: int) -> float:
        tokens = np.random.default_rng(0).integers(1, VOCABULARY, (1, length)).astype(np.int32)
        seconds = []
        for _ in range(12):
            started = time.thread_time()
            run(tokens)
            seconds.append(time.thread_time() - started)
        return min(seconds) / length

    # Comparing all pairs of tokens would take sixteen times as long per token.
    assert seconds_per_token(8_000) < 4 * seconds_per_token(500)
