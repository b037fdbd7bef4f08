"""Export of a trained network to ONNX, for inference without TensorFlow.

The graph is built from the weights of the Keras layers, not traced: it has half as many operations as a traced one,
depends on nothing but the weights, and may compute the same outputs faster. Every export is checked against Keras.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import keras
import numpy as np
from onnx import TensorProto

from atnet.errors import ModelError
from atnet.inference import CONTRIBUTIONS, create_session
from atnet.network.device import on_cpu
from atnet.network.graph_builder import GraphBuilder
from atnet.network.network_graph import add_network
from atnet.network.wide_graph import add_wide_branch_graph

Shape = tuple[str | int, ...]

TOLERANCE = 1e-4
"""Largest difference allowed between the outputs of Keras and of the exported network."""


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """The largest difference between the outputs of the exported network and of Keras."""

    largest_difference: float
    texts: int


def to_onnx(network: keras.Model) -> bytes:
    """Export a network; the same weights give the same bytes.

    The graph maps `tokens` (B, T) int32 to `logits` (B, C), `attention` (B, T) and `pooled` (B, P), the features from
    which the network computes its logits. With a wide branch it also computes `deep` (B, C), the network's part of the
    logits, and `wide` (B, T, C), the wide branch's contribution of each token; they sum to the logits. An optional
    input `detail` then skips what is not needed, see `atnet.inference`.
    """
    classes = network.output["logits"].shape[-1]
    graph = GraphBuilder()
    inputs: dict[str, tuple[int, Shape]] = {"tokens": (TensorProto.INT32, ("texts", "tokens"))}
    shapes: dict[str, Shape] = {"logits": ("texts", classes), "attention": ("texts", "tokens")}
    if "wide" not in network.output:
        deep = add_network(graph, "tokens", network, 1.0, np.zeros(classes))
        outputs = {"logits": deep.logits}
    else:
        blend, wide = network.get_layer("blend"), network.get_layer("wide")
        deep_weight, wide_weight = np.array(blend.weight)
        deep = add_network(graph, "tokens", network, deep_weight, np.array(blend.intercept) * wide_weight)
        wide_logits, contributions = add_wide_branch_graph(graph, "tokens", "detail", wide, wide_weight)
        logits = graph.op("Add", deep.logits, wide_logits)
        outputs = {"logits": logits, "deep": deep.logits, "wide": contributions}
        inputs["detail"] = (TensorProto.INT64, ())
        shapes |= {"deep": ("texts", classes), "wide": ("texts", "tokens", classes)}
    shapes["pooled"] = ("texts", deep.pooled_features)
    for name, value in {**outputs, "attention": deep.attention, "pooled": deep.pooled}.items():
        graph.output(name, value)
    model = graph.model(inputs, shapes, {"detail": np.array(CONTRIBUTIONS)} if "detail" in inputs else {})
    exported: bytes = model.SerializeToString(deterministic=True)
    return exported


def run_exported(exported: bytes) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Load an exported network; the returned function computes all its outputs by name."""
    session = create_session(exported)
    names = [output.name for output in session.get_outputs()]
    return lambda tokens: dict(zip(names, session.run(names, {"tokens": tokens}), strict=True))


def check_export(
    network: keras.Model, exported: Callable[[np.ndarray], Mapping[str, np.ndarray]], tokens: np.ndarray
) -> ExportCheck:
    """Compare all outputs of the exported network with Keras on the CPU, on tokens (B, T).

    Args:
        exported: returns the outputs of the exported network by name.

    Raises:
        ModelError: if an output differs by more than TOLERANCE.
    """
    with on_cpu():
        expected = {name: np.array(output) for name, output in network(tokens, training=False).items()}
    if "wide" in expected:
        expected["deep"] = expected["logits"] - expected["wide"].sum(axis=1)
    outputs = exported(tokens)
    difference = max(float(np.abs(outputs[name] - output).max()) for name, output in expected.items())
    if not difference < TOLERANCE:
        raise ModelError(
            f"The exported network differs from Keras by {difference:.2g} (allowed: {TOLERANCE:g}). "
            "No file was written. Set train.precision to float32 and train again."
        )
    return ExportCheck(difference, len(tokens))
