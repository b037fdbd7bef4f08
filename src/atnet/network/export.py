"""Export of a trained network to ONNX, for inference without TensorFlow.

The network must be built in float32: an export under a bfloat16 policy fails or is wrong.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx

from atnet.errors import ModelError

OPSET = 17
TOLERANCE = 1e-4
"""Largest difference allowed between the outputs of Keras and of the exported network."""


@dataclass(frozen=True, slots=True)
class ExportCheck:
    """The largest difference between the outputs of the exported network and of Keras, logits and attention."""

    largest_difference: float
    texts: int


def to_onnx(model: keras.Model) -> bytes:
    """Export a float32 network; the same network gives the same bytes.

    The graph maps `tokens` (B, T) int32 to the network's outputs: `logits` (B, C), `attention` (B, T) and, with a wide
    branch, `wide` (B, T, C).
    """
    names = tuple(model.output)
    signature = [tf.TensorSpec((None, None), tf.int32, name="tokens")]

    @tf.function(input_signature=signature)
    def outputs_of(tokens: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(tokens, training=False)
        return {name: tf.identity(outputs[name], name=name) for name in names}

    # One call first: a layer that is built lazily would be exported unbuilt.
    outputs_of(tf.ones((1, 2), tf.int32))
    proto, _ = tf2onnx.convert.from_function(outputs_of, input_signature=signature, opset=OPSET)
    exported: bytes = canonical_onnx(proto).SerializeToString(deterministic=True)
    return exported


def canonical_onnx(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the same graph in a form that depends only on what it computes.

    tf2onnx orders and names its nodes by a counter that differs between exports. Here every tensor is named by a digest
    of how it is computed, which also merges equal ones; nodes are ordered by their distance from the inputs, and unused
    constants and metadata are dropped.
    """
    source = proto.graph
    names = {value.name: value.name for value in source.input} | {"": ""}
    constants = {_constant_name(tensor): tensor for tensor in source.initializer}
    names |= {tensor.name: _constant_name(tensor) for tensor in source.initializer}
    depths = dict.fromkeys(names.values(), 0)
    outputs = {value.name for value in source.output}
    nodes: dict[tuple[int, str], onnx.NodeProto] = {}
    for node in source.node:
        renamed = _renamed_node(node, names, outputs)
        depth = 1 + max((depths[value] for value in renamed.input), default=0)
        names |= dict(zip(node.output, renamed.output, strict=True))
        depths |= dict.fromkeys(renamed.output, depth)
        nodes[depth, renamed.name] = renamed
    used = {value for node in nodes.values() for value in node.input}
    initializers = [_renamed_tensor(constants[name], name) for name in sorted(constants) if name in used]
    graph = onnx.helper.make_graph(
        [nodes[position] for position in sorted(nodes)],
        "atnet",
        [_with_axes(value) for value in source.input],
        [_with_axes(value) for value in sorted(source.output, key=lambda value: value.name, reverse=True)],
        initializers,
    )
    return onnx.helper.make_model(
        graph, opset_imports=proto.opset_import, ir_version=proto.ir_version, producer_name="atnet"
    )


def _renamed_node(node: onnx.NodeProto, names: dict[str, str], outputs: set[str]) -> onnx.NodeProto:
    """Rename a node and its outputs by a digest of its operation and inputs; the graph's outputs keep their names."""
    inputs = [names[value] for value in node.input]
    attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
    serialized = [attribute.SerializeToString(deterministic=True) for attribute in attributes]
    graph_outputs = [value for value in node.output if value in outputs]
    digest = _digest(node.op_type, node.domain, *inputs, *serialized, *graph_outputs)
    result = onnx.NodeProto(op_type=node.op_type, domain=node.domain, name=digest)
    result.input.extend(inputs)
    result.output.extend(value if value in outputs else f"{digest}.{i}" for i, value in enumerate(node.output))
    result.attribute.extend(attributes)
    return result


def _constant_name(tensor: onnx.TensorProto) -> str:
    return "c" + _digest(_renamed_tensor(tensor, "").SerializeToString(deterministic=True))


def _renamed_tensor(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    result = onnx.TensorProto()
    result.CopyFrom(tensor)
    result.name, result.doc_string = name, ""
    return result


def _with_axes(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    result = onnx.ValueInfoProto()
    result.CopyFrom(value)
    for axis, dimension in zip(("texts", "tokens", "labels"), result.type.tensor_type.shape.dim, strict=False):
        if not dimension.HasField("dim_value"):
            dimension.dim_param = axis
    return result


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:16]


def check_export(
    model: keras.Model, exported: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], tokens: np.ndarray
) -> ExportCheck:
    """Compare the exported network with Keras on (B, T) tokens.

    Args:
        exported: returns the logits and the attention of the exported network.

    Raises:
        ModelError: if they differ by more than TOLERANCE.
    """
    expected = model(tokens, training=False)
    logits, attention = exported(tokens)
    difference = max(
        float(np.abs(logits - expected["logits"].numpy()).max()),
        float(np.abs(attention - expected["attention"].numpy()).max()),
    )
    if not difference < TOLERANCE:
        raise ModelError(
            f"The exported network differs from Keras by {difference:.2g} (allowed: {TOLERANCE:g}). "
            "No file was written. Set train.precision to float32 and train again."
        )
    return ExportCheck(difference, len(tokens))
