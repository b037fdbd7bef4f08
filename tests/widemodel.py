"""A predictor with a handwritten network: the tanh of a sum over words, plus a wide branch without n-grams."""

from collections.abc import Collection

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from atnet.inference import Predictor
from atnet.report.explanations.learned_weights import WideWeights
from atnet.text.ngrams import NGRAM_BASE

SLOTS = 64


def wide_predictor(deep: dict[str, list[float]], wide: dict[str, list[float]] | None, labels: int = 2) -> Predictor:
    """Build a predictor with logits tanh(sum of deep) + sum of wide / sqrt(2T - 1), from word weights per label."""
    words = _vocabulary({*deep, *(wide or {})})
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    network = _network(_table(words, deep, labels), None if wide is None else _table(words, wide, labels))
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    names = [f"label-{label}" for label in range(labels)]
    return Predictor(tokenizer, session, labels=names, temperature=1.0, pad_to=None)


def wide_tables(
    wide: dict[str, list[float]],
    *,
    char_ngrams: dict[str, list[float]] | None = None,
    char_ngram_count: int = 0,
    bigrams: dict[tuple[str, str], list[float]] | None = None,
) -> WideWeights:
    """Make the tables of a wide branch for two labels; every word has the same number of character n-grams."""
    words = _vocabulary(wide)
    ids_S, weights_SK = np.full(SLOTS, -1), np.zeros((SLOTS, 1), np.float32)
    for (first, second), logits in (bigrams or {}).items():
        ngram_id = words.index(first) * NGRAM_BASE + words.index(second)
        ids_S[ngram_id % SLOTS], weights_SK[ngram_id % SLOTS] = ngram_id, logits[1] - logits[0]
    return WideWeights(
        word_weights_VK=_column(_table(words, wide, 2)),
        ngram_weights_SK=weights_SK,
        ngram_ids_S=ids_S,
        char_ngram_weights_VK=_column(_table(words, char_ngrams or {}, 2)),
        char_ngram_counts_V=np.full(len(words), char_ngram_count, np.float32),
    )


def _column(table: np.ndarray) -> np.ndarray:
    return table[:, 1:] - table[:, :1]


def _vocabulary(words: Collection[str]) -> list[str]:
    return ["[PAD]", "[UNK]", *sorted({*words} - {"[UNK]"})]


def _table(words: list[str], weights: dict[str, list[float]], labels: int) -> np.ndarray:
    return np.array([weights.get(word, [0.0] * labels) for word in words], np.float32)


def _network(deep: np.ndarray, wide: np.ndarray | None) -> bytes:
    nodes = [
        helper.make_node("Gather", ["deep_table", "tokens"], ["deep_weights"]),
        helper.make_node("ReduceSum", ["deep_weights", "axis"], ["deep_sum"], keepdims=0),
        helper.make_node("Tanh", ["deep_sum"], ["logits" if wide is None else "deep_logits"]),
        helper.make_node("Cast", ["tokens"], ["ids"], to=TensorProto.FLOAT),
        helper.make_node("Clip", ["ids", "zero", "one"], ["mask"]),
        helper.make_node("ReduceSum", ["mask", "axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["mask", "count"], ["attention"]),
    ]
    constants = {
        "deep_table": deep,
        "axis": np.array([1], np.int64),
        "zero": np.array(0, np.float32),
        "one": np.array(1, np.float32),
    }
    outputs = {"logits": ["B", deep.shape[1]], "attention": ["B", "T"]}
    if wide is not None:
        nodes += [
            helper.make_node("Add", ["count", "count"], ["twice"]),
            helper.make_node("Sub", ["twice", "one"], ["features"]),
            helper.make_node("Sqrt", ["features"], ["root"]),
            helper.make_node("Unsqueeze", ["root", "axis"], ["divisor"]),
            helper.make_node("Gather", ["wide_table", "tokens"], ["wide_weights"]),
            helper.make_node("Div", ["wide_weights", "divisor"], ["wide"]),
            helper.make_node("ReduceSum", ["wide", "axis"], ["wide_sum"], keepdims=0),
            helper.make_node("Add", ["deep_logits", "wide_sum"], ["logits"]),
        ]
        constants["wide_table"] = wide
        # Listed first, which checks that outputs are read by name.
        outputs = {"wide": ["B", "T", deep.shape[1]], **outputs}
    graph = helper.make_graph(
        nodes,
        "handwritten",
        [helper.make_tensor_value_info("tokens", TensorProto.INT32, ["B", "T"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())
