"""A predictor with a handwritten network: the tanh of a sum over words, plus a wide branch without n-grams."""

from collections.abc import Collection

import numpy as np
from onnx import TensorProto
from tokenizers import Tokenizer, models, pre_tokenizers

from atnet.inference import Predictor, create_session
from atnet.network.graph_builder import GraphBuilder
from atnet.report.explanations.learned_weights import WideWeights
from atnet.text.ngrams import NGRAM_BASE

SLOTS = 64


def wide_predictor(deep: dict[str, list[float]], wide: dict[str, list[float]] | None, labels: int = 2) -> Predictor:
    """Build a predictor with logits tanh(sum of deep) + sum of wide / sqrt(2T - 1), from word weights per label."""
    words = _vocabulary({*deep, *(wide or {})})
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    network = _network(_table(words, deep, labels), None if wide is None else _table(words, wide, labels))
    names = [f"label-{label}" for label in range(labels)]
    return Predictor(tokenizer, create_session(network), labels=names, temperature=1.0, pad_to=None)


def wide_tables(
    wide: dict[str, list[float]],
    *,
    char_ngrams: dict[str, list[float]] | None = None,
    char_ngram_count: int = 0,
    bigrams: dict[tuple[str, str], list[float]] | None = None,
) -> WideWeights:
    """Build the tables of a wide branch for two labels; every word has the same number of character n-grams."""
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
    graph = GraphBuilder()
    labels = deep.shape[1]
    mask = graph.op("Clip", graph.op("Cast", "tokens", to=TensorProto.FLOAT), np.float32(0), np.float32(1))
    count = graph.op("ReduceSum", mask, np.array([1]), keepdims=1)
    deep_sum = graph.op("ReduceSum", graph.op("Gather", deep, "tokens"), np.array([1]), keepdims=0)
    outputs = {"logits": graph.op("Tanh", deep_sum), "attention": graph.op("Div", mask, count)}
    shapes: dict[str, tuple[str | int, ...]] = {"logits": ("B", labels), "attention": ("B", "T")}
    inputs: dict[str, tuple[int, tuple[str | int, ...]]] = {"tokens": (TensorProto.INT32, ("B", "T"))}
    if wide is not None:
        features = graph.op("Sub", graph.op("Mul", count, np.float32(2)), np.float32(1))
        scale = graph.op("Unsqueeze", graph.op("Sqrt", features), np.array([1]))
        contributions = graph.op("Div", graph.op("Gather", wide, "tokens"), scale)
        wide_sum = graph.op("ReduceSum", contributions, np.array([1]), keepdims=0)
        # Listed first, which checks that outputs are read by name.
        outputs = {"wide": contributions, "deep": outputs["logits"], **outputs}
        outputs["logits"] = graph.op("Add", outputs["deep"], wide_sum)
        shapes = {"wide": ("B", "T", labels), "deep": ("B", labels), **shapes}
        inputs["detail"] = (TensorProto.INT64, ())
    for name, value in outputs.items():
        graph.output(name, value)
    return bytes(graph.model(inputs, shapes, {"detail": np.array(2)} if wide is not None else {}).SerializeToString())
