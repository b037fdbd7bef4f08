"""The predictor with one output more: the network's pooled vector, read from the graph as it is loaded.

The model's files are not changed, so its hash stays what it is.

Letters in array names: N texts, P pooled values, C labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from atnet.inference import Predictor, softmax

LOGITS = "logits"


@dataclass(frozen=True, slots=True)
class PooledAnswers:
    """Answers for N texts."""

    probabilities: np.ndarray
    """(N, C) float64, calibrated."""
    pooled: np.ndarray | None
    """(N, P) float32; None for a network without a hidden layer."""


class PooledPredictor(Predictor):
    """A trained model that also returns what its hidden layer reads."""

    _pooled: str | None = None

    @classmethod
    def load(cls, folder: Path | str, *, threads: int | None = None) -> "PooledPredictor":
        """Load a model folder.

        Raises:
            UnusableModelError: naming the file that is missing or damaged.
        """
        predictor = super().load(folder, threads=threads)
        assert isinstance(predictor, PooledPredictor)
        model = onnx.load_model_from_string((Path(folder) / "model.onnx").read_bytes())
        pooled = pooled_tensor(model)
        if pooled is not None:
            model.graph.output.append(onnx.helper.make_tensor_value_info(pooled, onnx.TensorProto.FLOAT, None))
        options = onnxruntime.SessionOptions()
        # With them the memory of the largest batch is kept for good.
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        if threads is not None:
            options.intra_op_num_threads = threads
        predictor._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        predictor._pooled = pooled
        return predictor

    def predict_pooled(self, ids: Sequence[Sequence[int]]) -> PooledAnswers:
        """Answer for texts that are encoded already, and return their pooled vectors."""
        names = [LOGITS] if self._pooled is None else [LOGITS, self._pooled]
        logits_NC = np.zeros((len(ids), len(self.labels)), np.float32)
        pooled_N: list[np.ndarray] = [np.zeros(0, np.float32)] * len(ids)
        for rows, tokens in self._batches(ids):
            outputs = self._session.run(names, {"tokens": tokens})
            logits_NC[rows] = outputs[0]
            if self._pooled is not None:
                for row, vector in zip(rows, outputs[1], strict=True):
                    pooled_N[row] = vector
        has_pooled = self._pooled is not None and len(ids) > 0
        return PooledAnswers(softmax(logits_NC / self.temperature), np.stack(pooled_N) if has_pooled else None)


def pooled_tensor(model: onnx.ModelProto) -> str | None:
    """Find the tensor that the hidden layer reads: the input of the second matrix product before the logits.

    Walks back from the logits, nearest nodes first. The nearest product with a constant matrix is the output layer,
    the one before it the hidden layer; both networks of the project, `published` and repaired, end in these two.
    """
    made_by = {name: node for node in model.graph.node for name in node.output}
    matrices = {tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 2}
    products: list[onnx.NodeProto] = []
    queue, seen = [LOGITS], {LOGITS}
    while queue and len(products) < 2:
        node = made_by.get(queue.pop(0))
        if node is None:
            continue
        if node.op_type == "MatMul" and node.input[1] in matrices:
            products.append(node)
        fresh = [name for name in node.input if name not in seen]
        seen.update(fresh)
        queue.extend(fresh)
    return str(products[1].input[0]) if len(products) == 2 else None
