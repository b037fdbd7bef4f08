"""The network as operations of an ONNX graph, computed from the weights of its Keras layers.

Where the tables stay small, the embedding is folded into the convolution: the product of every word vector with every
kernel position is computed once, at export, so that inference adds up table rows instead of multiplying matrices.

Shapes: B texts, T tokens, V embedding rows, D embedding dimensions, W kernel positions, F filters, C labels.
"""

from dataclasses import dataclass

import keras
import numpy as np
from onnx import TensorProto

from atnet.network.graph_builder import GraphBuilder, Tensor
from atnet.network.model import STATIC

MAX_FOLDED_BYTES = 2**26
"""Size limit of the folded tables, 64 MiB; above it the graph has an embedding and a convolution."""
EXCLUDED_SCORE = np.float32(-1e9)
"""Attention score of padding, as in the layer."""


@dataclass(frozen=True, slots=True)
class NetworkOutputs:
    """The network's values in the graph."""

    logits: Tensor
    """(B, C), weighted."""
    attention: Tensor
    """(B, T)."""
    pooled: Tensor
    """(B, P), from which the logits are computed."""
    pooled_features: int
    """P."""


def add_network(
    graph: GraphBuilder, tokens: Tensor, network: keras.Model, weight: float, bias_C: np.ndarray
) -> NetworkOutputs:
    """Add the network's operations to a graph.

    Args:
        tokens: (B, T) int32.
        weight: factor of the network's logits.
        bias_C: added to the weighted logits.
    """
    mode = network.get_layer("attention").mode
    mask = None if mode == "published" else graph.op("Cast", tokens, to=TensorProto.BOOL)
    features = _features(graph, tokens, network, mask)
    attention = _attention(graph, features, network, mask)
    pooled = _pool(graph, features, attention, mode, mask)
    hidden_kernel, hidden_bias = _weights(network, "hidden")
    hidden = graph.op("Relu", graph.op("Gemm", pooled, hidden_kernel, hidden_bias))
    kernel, bias = _output_weights(network)
    logits = graph.op("Gemm", hidden, (kernel * weight).astype(np.float32), (bias * weight + bias_C).astype(np.float32))
    return NetworkOutputs(logits, attention, pooled, len(hidden_kernel))


def _features(graph: GraphBuilder, tokens: Tensor, network: keras.Model, mask: Tensor | None) -> Tensor:
    """Add embedding and convolution: (B, T) -> (B, T, F)."""
    table_VD = _table(network)
    kernel_WDF, bias_F = _weights(network, "convolution")
    rows, positions, filters = len(table_VD), len(kernel_WDF), len(bias_F)
    # Rare words share the row of the unknown word, which is repeated at the end of the table.
    table_VD = np.concatenate([table_VD, table_VD[1:2]])
    ids = graph.op("Min", tokens, np.int32(rows))
    if mask is not None and table_VD.shape[0] * positions * filters * 4 <= MAX_FOLDED_BYTES:
        table_VD[0] = 0.0
        return _folded_features(graph, ids, table_VD, kernel_WDF, bias_F)
    embedded = graph.op("Gather", table_VD, ids)
    if mask is not None:
        embedded = graph.op("Where", _column(graph, mask), embedded, np.float32(0))
    convolved = graph.op(
        "Conv",
        graph.op("Transpose", embedded, perm=[0, 2, 1]),
        np.ascontiguousarray(kernel_WDF.transpose(2, 1, 0)),
        bias_F,
        pads=[_left(positions), positions - 1 - _left(positions)],
    )
    return graph.op("Relu", graph.op("Transpose", convolved, perm=[0, 2, 1]))


def _folded_features(
    graph: GraphBuilder, ids: Tensor, table_VD: np.ndarray, kernel_WDF: np.ndarray, bias_F: np.ndarray
) -> Tensor:
    """Add one table look-up per kernel position; row 0 of the table must be zero, so that padding adds nothing."""
    positions, left = len(kernel_WDF), _left(len(kernel_WDF))
    padded = graph.op("Pad", ids, np.array([0, left, 0, positions - 1 - left]), np.int32(0))
    summands = []
    for position, kernel_DF in enumerate(kernel_WDF):
        folded_VF = table_VD.astype(np.float64) @ kernel_DF.astype(np.float64)
        if position == left:
            folded_VF += bias_F
        start, end = position, position - (positions - 1)
        shifted = graph.op("Slice", padded, np.array([start]), np.array([end or np.iinfo(np.int64).max]), np.array([1]))
        summands.append(graph.op("Gather", folded_VF.astype(np.float32), shifted))
    return graph.op("Relu", graph.op("Sum", *summands))


def _attention(graph: GraphBuilder, features: Tensor, network: keras.Model, mask: Tensor | None) -> Tensor:
    kernel_F1, bias_1 = _weights(network, "attention")
    # A matrix, not a vector: with a vector ONNX Runtime multiplies text by text.
    products = graph.op("Squeeze", graph.op("MatMul", features, kernel_F1), np.array([-1]))
    scores = graph.op("Tanh", graph.op("Add", products, bias_1))
    if mask is not None:
        scores = graph.op("Where", mask, scores, EXCLUDED_SCORE)
    return graph.op("Softmax", scores, axis=-1)


def _pool(graph: GraphBuilder, features: Tensor, attention: Tensor, mode: str, mask: Tensor | None) -> Tensor:
    """Add the pooling of a mode: (B, T, F) -> (B, F), or (B, 2F) in mode `pooled`."""
    # Features and attention are not negative and the attention on padding is zero, so no maximum needs a mask that
    # excludes padding: it is enough that the values there are zero.
    if mode != "pooled":
        weighted = graph.op("Mul", features, _column(graph, attention))
        largest = graph.op("ReduceMax", weighted, axes=[1], keepdims=0)
        if mask is None:
            return largest
        length = graph.op("ReduceSum", graph.op("Cast", mask, to=TensorProto.FLOAT), np.array([1]), keepdims=1)
        return graph.op("Mul", largest, length)
    assert mask is not None
    weighted_sum = graph.op("MatMul", graph.op("Unsqueeze", attention, np.array([1])), features)
    real = graph.op("Mul", features, _column(graph, graph.op("Cast", mask, to=TensorProto.FLOAT)))
    largest = graph.op("ReduceMax", real, axes=[1], keepdims=0)
    return graph.op("Concat", graph.op("Squeeze", weighted_sum, np.array([1])), largest, axis=1)


def _output_weights(network: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias of the logits; a single sigmoid unit becomes the logits (0, z)."""
    if network.get_layer("logits").weights:
        kernel, bias = _weights(network, "logits")
        return kernel, bias
    kernel, bias = _weights(network, "output")
    return np.concatenate([np.zeros_like(kernel), kernel], axis=1), np.append(np.float32(0), bias)


def _table(network: keras.Model) -> np.ndarray:
    """Return the word vectors (V, D); those of two channels are concatenated."""
    layers = ["embedding", *(layer.name for layer in network.layers if layer.name == STATIC)]
    return np.concatenate([_weights(network, layer)[0] for layer in layers], axis=1)


def _weights(network: keras.Model, layer: str) -> list[np.ndarray]:
    weights: list[np.ndarray] = network.get_layer(layer).get_weights()
    return weights


def _column(graph: GraphBuilder, value: Tensor) -> Tensor:
    return graph.op("Unsqueeze", value, np.array([-1]))


def _left(positions: int) -> int:
    """Return how many kernel positions lie before the center, as in Keras with padding="same"."""
    return (positions - 1) // 2
