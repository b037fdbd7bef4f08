"""A handwritten model folder: the logits of a text are the sum of its words' weights."""

import json
from pathlib import Path

import h5py
import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

WORDS = ("[PAD]", "[UNK]", "good", "bad", "fine", "awful")
WEIGHTS = ((0, 0), (0, 0), (-1, 1), (1, -1), (-1, 1), (2, -2))
HISTORY = """epoch,learning_rate,train_loss,validation_loss,validation_accuracy,network_validation_loss
1,0.001,0.693147,0.65,0.71,0.66
2,0.001,0.601,0.58,0.8,0.6
3,0.001,0.55,0.59,0.79,0.61
"""


def write_tiny_model(folder: Path, *, labels: tuple[str, str] = ("negative", "positive"), scale: float = 1.0) -> Path:
    """Write a complete model folder; the weights are multiplied by `scale`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(_tokenizer().to_str(), encoding="utf-8")
    (folder / "model.onnx").write_bytes(sum_of_weights(np.array(WEIGHTS, np.float32) * np.float32(scale)))
    (folder / "inference_config.json").write_text(json.dumps({"labels": labels, "temperature": 1.0, "pad_to": None}))
    (folder / "architecture.json").write_text("{}\n")
    h5py.File(folder / "model.weights.h5", "w").close()
    (folder / "train_hashes.txt").write_text("0123456789abcdef\n")
    (folder / "history.csv").write_text(HISTORY)
    return folder


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(32)
    return tokenizer


def sum_of_weights(weights: np.ndarray) -> bytes:
    """Build the ONNX network that sums the weights (V, 2) of a text's words."""
    nodes = [
        helper.make_node("Gather", ["weights", "tokens"], ["token_weights"]),
        helper.make_node("ReduceSum", ["token_weights", "axis"], ["logits"], keepdims=0),
        helper.make_node("Identity", ["logits"], ["pooled"]),
        helper.make_node("Cast", ["tokens"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Clip", ["ids", "zero", "one"], ["mask"]),
        helper.make_node("ReduceSum", ["mask", "axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["mask", "count"], ["attention"]),
    ]
    constants = {
        "weights": weights,
        "axis": np.array([1], np.int64),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("tokens", TensorProto.INT32, ["B", "T"])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", 2]),
            helper.make_tensor_value_info("attention", TensorProto.FLOAT, ["B", "T"]),
            helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["B", 2]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())
