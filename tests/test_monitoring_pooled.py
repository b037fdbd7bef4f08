"""The pooled vector: found in the graph of every kind of network, without a change to the model."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from atnet.config import Params
from atnet.inference import Predictor, model_hash
from atnet.monitoring.pooled_predictor import PooledPredictor, pooled_tensor
from tests.tinymodel import write_tiny_model

POOLED = 6


def with_hidden_layer(model: bytes) -> bytes:
    """Put a hidden layer behind the tiny model's sums, with a product before it as attention has one."""
    graph = onnx.load_model_from_string(model)
    rng = np.random.default_rng(0)
    matrices = {"attend": (2, POOLED), "hidden": (POOLED, 4), "output": (4, 2)}
    for node in graph.graph.node:
        for place, name in enumerate(node.output):
            if name == "logits":
                node.output[place] = "sums"
    graph.graph.node.extend(
        [
            helper.make_node("MatMul", ["sums", "attend"], ["attended"]),
            helper.make_node("Tanh", ["attended"], ["pooled"]),
            helper.make_node("MatMul", ["pooled", "hidden"], ["deep"]),
            helper.make_node("Relu", ["deep"], ["active"]),
            helper.make_node("MatMul", ["active", "output"], ["deep_logits"]),
            helper.make_node("Add", ["deep_logits", "sums"], ["logits"]),
        ]
    )
    for name, shape in matrices.items():
        graph.graph.initializer.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name))
    return bytes(graph.SerializeToString())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiny_model(tmp_path)
    path = tmp_path / "model.onnx"
    path.write_bytes(with_hidden_layer(path.read_bytes()))
    return tmp_path


def test_the_vector_is_what_the_hidden_layer_reads_and_the_answers_stay(folder: Path) -> None:
    before = model_hash(folder)
    predictor = PooledPredictor.load(folder)
    texts = ["good good film", "bad", "a fine day, not awful at all", ""]
    answers = predictor.predict_pooled(predictor.encode(texts))
    plain = Predictor.load(folder).predict(texts)
    assert np.allclose(answers.probabilities, plain.probabilities)
    assert np.allclose(predictor.predict(texts).probabilities, plain.probabilities)
    assert answers.pooled is not None
    assert answers.pooled.shape == (4, POOLED)
    assert np.abs(answers.pooled).max() <= 1
    assert not np.allclose(answers.pooled[0], answers.pooled[1])
    assert model_hash(folder) == before


def test_a_vector_does_not_depend_on_the_other_texts(folder: Path) -> None:
    predictor = PooledPredictor.load(folder)
    texts = ["good", "bad " * 20, "fine"]
    together = predictor.predict_pooled(predictor.encode(texts)).pooled
    alone = [predictor.predict_pooled(predictor.encode([text])).pooled for text in texts]
    assert together is not None
    assert np.allclose(together, np.concatenate(alone), atol=1e-6)  # type: ignore[arg-type]


def test_a_network_without_a_hidden_layer_has_no_vector(tmp_path: Path) -> None:
    predictor = PooledPredictor.load(write_tiny_model(tmp_path))
    answers = predictor.predict_pooled(predictor.encode(["good"]))
    assert answers.pooled is None
    assert answers.probabilities.shape == (1, 2)
    assert predictor.predict_pooled([]).pooled is None


CASES = [("seed", 2, False), ("rescaled", 3, True), ("pooled", 2, True)]


@pytest.mark.parametrize(("attention", "classes", "wide"), CASES)
def test_the_vector_of_every_exported_network_is_found(
    params: Params, attention: str, classes: int, wide: bool
) -> None:
    import keras

    from atnet.network.export import to_onnx
    from atnet.network.model import build_model, with_wide
    from tests.encoded import some_wide

    keras.utils.set_random_seed(3)
    config = params.train.model_copy(update={"attention": attention, "embedding_dimensions": 8})
    network = build_model(config, vocabulary_size=20, classes=classes)
    layer = network.get_layer("attention")
    expected = keras.Model(network.input, layer.output[0])
    model = with_wide(network, some_wide(classes, 30), (0.7, 1.2)) if wide else network
    proto = onnx.load_model_from_string(to_onnx(model))
    name = pooled_tensor(proto)
    assert name is not None
    proto.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    tokens = np.array([[2, 3, 4, 19, 0, 0], [7, 8, 7, 8, 11, 12]], np.int32)
    (found,) = session.run([name], {"tokens": tokens})
    np.testing.assert_allclose(found, expected(tokens).numpy(), atol=1e-5)
