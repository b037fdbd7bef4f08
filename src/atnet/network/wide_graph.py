"""The wide branch as operations of an ONNX graph, whose cost grows with T log T in the length T of a text.

The layer `WideNgrams` compares all pairs of tokens; here the n-gram ids of a text are sorted, so that equal ids are
adjacent. A test compares both.

Shapes: B texts, T tokens, S = max_n * T n-gram ids per text, V vocabulary entries, R slots, C labels, K weight columns.
"""

from dataclasses import dataclass

import keras
import numpy as np
from onnx import TensorProto

from atnet.inference import DEEP_ONLY, LOGITS
from atnet.network.graph_builder import GraphBuilder, Tensor
from atnet.text.ngrams import NGRAM_BASE


@dataclass(frozen=True, slots=True)
class _Tables:
    """The tables of the branch, multiplied by its weight, in the form of the graph."""

    terms: np.ndarray
    """(V + R, K) float32, the weights of words and of word n-grams."""
    ids: np.ndarray
    """(V + R,) int64, the id of the word or n-gram in each row, -1 for an empty slot."""
    words: np.ndarray
    """(V + 1, K + 2) float32: the weights of a word's character n-grams, their number, and 1. The last row, with the
    weights and the number zero, is that of all word n-grams."""
    vocabulary_size: int

    @property
    def slots(self) -> int:
        """Rows for word n-grams, R."""
        return len(self.terms) - self.vocabulary_size

    @property
    def columns(self) -> int:
        """Weight columns, K."""
        return int(self.terms.shape[1])


@dataclass(frozen=True, slots=True)
class _Lookup:
    """The table values for ids of shape (B, S)."""

    known: Tensor
    """(B, S) booleans: whether the id is a word or an n-gram in the table."""
    terms: Tensor
    """(B, S, K)."""
    words: Tensor
    """(B, S, K + 2)."""


@dataclass(frozen=True, slots=True)
class _Sorted:
    """The ids of each text in descending order."""

    ids: Tensor
    """(B, S); the zeros at the end are not n-grams."""
    order: Tensor
    """(B, S), the place of each id before sorting."""
    starts: Tensor
    """(B, S) booleans: whether the id differs from the one before it."""
    present: Tensor
    """(B, S) booleans: whether the id is an n-gram."""


def add_wide_branch_graph(
    graph: GraphBuilder, tokens: Tensor, detail: Tensor, layer: keras.layers.Layer, weight: float
) -> tuple[Tensor, Tensor]:
    """Add the wide branch to a graph, without its intercept.

    Args:
        tokens: (B, T) int32.
        detail: a scalar int64, what to compute: DEEP_ONLY, LOGITS or CONTRIBUTIONS.
        layer: the `WideNgrams` with the fitted weights.
        weight: factor of the branch's logits.

    Returns:
        The logits (B, C), and the contribution of each token to them (B, T, C); zeros where they are not computed.
    """
    tables = _tables(layer, weight)
    columns = tables.columns
    no_logits, no_contributions = np.zeros((1, layer.classes), np.float32), np.zeros((1, 1, layer.classes), np.float32)

    def compute(branch: GraphBuilder) -> tuple[Tensor, Tensor]:
        ids = _ngram_ids(branch, tokens, layer.max_n)
        ordered = _sort(branch, ids)
        logits, scales = _logits(branch, ordered, tables)
        (contributions,) = branch.choose(
            branch.op("Greater", detail, np.int64(LOGITS)),
            lambda inner: [
                _all_labels(inner, _contributions(inner, ids, ordered, scales, tables, layer.max_n), columns)
            ],
            lambda inner: [inner.constant(no_contributions)],
            outputs=1,
        )
        return _all_labels(branch, logits, columns), contributions

    logits, contributions = graph.choose(
        graph.op("Greater", detail, np.int64(DEEP_ONLY)),
        compute,
        lambda branch: [branch.constant(no_logits), branch.constant(no_contributions)],
        outputs=2,
    )
    return logits, contributions


def _tables(layer: keras.layers.Layer, weight: float) -> _Tables:
    word_weights, ngram_weights, ngram_ids, char_weights, char_counts = (np.array(value) for value in layer.weights)
    size, columns = word_weights.shape
    words = np.zeros((size + 1, columns + 2), np.float32)
    words[:size, :columns], words[:size, columns], words[:, columns + 1] = char_weights * weight, char_counts, 1
    return _Tables(
        terms=(np.concatenate([word_weights, ngram_weights]) * weight).astype(np.float32),
        ids=np.concatenate([np.arange(size), ngram_ids]),
        words=words,
        vocabulary_size=size,
    )


def _ngram_ids(graph: GraphBuilder, tokens: Tensor, max_n: int) -> Tensor:
    """Add the ids of all n-grams, one per order and token, zero where an n-gram reaches beyond its text: (B, S)."""
    words = graph.op("Cast", tokens, to=TensorProto.INT64)
    ids, ngrams, following = [words], words, words
    for _ in range(2, max_n + 1):
        following = graph.op("Pad", following, np.array([0, -1, 0, 1]), np.int64(0))
        ngrams = graph.op("Add", graph.op("Mul", ngrams, np.int64(NGRAM_BASE)), following)
        ids.append(graph.op("Where", graph.op("Cast", following, to=TensorProto.BOOL), ngrams, np.int64(0)))
    return graph.op("Concat", *ids, axis=1)


def _sort(graph: GraphBuilder, ids: Tensor) -> _Sorted:
    size = graph.op("Shape", ids, start=1, end=2)
    descending, order = graph.ops("TopK", ids, size, outputs=2, axis=1)
    previous = graph.op("Pad", descending, np.array([0, 1, 0, -1]), np.int64(-1))
    return _Sorted(
        ids=descending,
        order=order,
        starts=graph.op("Not", graph.op("Equal", descending, previous)),
        present=graph.op("Cast", descending, to=TensorProto.BOOL),
    )


def _look_up(graph: GraphBuilder, ids: Tensor, tables: _Tables) -> _Lookup:
    slots = graph.op("Add", graph.op("Mod", ids, np.int64(tables.slots)), np.int64(tables.vocabulary_size))
    rows = graph.op("Where", graph.op("Less", ids, np.int64(NGRAM_BASE)), ids, slots)
    return _Lookup(
        known=graph.op("Equal", graph.op("Gather", tables.ids, rows), ids),
        terms=graph.op("Gather", tables.terms, rows),
        words=graph.op("Gather", tables.words, graph.op("Min", ids, np.int64(tables.vocabulary_size))),
    )


def _logits(graph: GraphBuilder, ordered: _Sorted, tables: _Tables) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Add the sum over the distinct n-grams of each text.

    Returns:
        The logits (B, K), and the scales (B, 1) of terms and of character n-grams.
    """
    lookup = _look_up(graph, ordered.ids, tables)
    distinct = graph.op("And", ordered.starts, ordered.present)
    terms = _sum(graph, lookup.terms, graph.op("And", distinct, lookup.known))
    sums = _sum(graph, lookup.words, distinct)
    chars, counts = graph.ops("Split", sums, np.array([tables.columns, 2]), outputs=2, axis=1)
    scales = graph.op("Pow", graph.op("Max", counts, np.float32(1)), np.float32(-0.5))
    char_scale, term_scale = graph.ops("Split", scales, np.array([1, 1]), outputs=2, axis=1)
    logits = graph.op("Add", graph.op("Mul", terms, term_scale), graph.op("Mul", chars, char_scale))
    return logits, (term_scale, char_scale)


def _contributions(
    graph: GraphBuilder,
    ids: Tensor,
    ordered: _Sorted,
    scales: tuple[Tensor, Tensor],
    tables: _Tables,
    max_n: int,
) -> Tensor:
    """Add the contribution of each token: (B, T, K)."""
    lookup = _look_up(graph, ids, tables)
    shares = _occurrence_shares(graph, ids, ordered)
    known_shares = graph.op("Mul", shares, graph.op("Cast", lookup.known, to=TensorProto.FLOAT))
    term_scale, char_scale = (_as_column(graph, scale) for scale in scales)
    terms = graph.op("Mul", graph.op("Mul", lookup.terms, term_scale), _as_column(graph, known_shares))
    chars = graph.op("Slice", lookup.words, np.array([0]), np.array([tables.columns]), np.array([2]))
    chars = graph.op("Mul", graph.op("Mul", chars, char_scale), _as_column(graph, shares))
    total, *by_order = graph.ops("Split", graph.op("Add", terms, chars), outputs=max_n, axis=1)
    for n, ngrams in enumerate(by_order, start=2):
        # An n-gram is shared equally among its words.
        part = graph.op("Div", ngrams, np.float32(n))
        for _ in range(n):
            total = graph.op("Add", total, part)
            part = graph.op("Pad", part, np.array([0, 1, 0, 0, -1, 0]), np.float32(0))
    return total


def _occurrence_shares(graph: GraphBuilder, ids: Tensor, ordered: _Sorted) -> Tensor:
    """Add 1 / (occurrences of the n-gram in its text), zero for no n-gram, in the order of the text: (B, S)."""
    zeros = graph.op("ConstantOfShape", graph.op("Shape", ids))
    present = graph.op("Cast", ordered.present, to=TensorProto.FLOAT)
    starts = graph.op("Cast", ordered.starts, to=TensorProto.INT64)
    groups = graph.op("Sub", graph.op("CumSum", starts, np.int64(1)), np.int64(1))
    sizes = graph.op("ScatterElements", zeros, groups, present, axis=1, reduction="add")
    occurrences = graph.op("Max", graph.op("GatherElements", sizes, groups, axis=1), np.float32(1))
    shares = graph.op("Div", present, occurrences)
    return graph.op("ScatterElements", zeros, ordered.order, shares, axis=1)


def _sum(graph: GraphBuilder, values: Tensor, mask: Tensor) -> Tensor:
    """Add the sum of values (B, S, K) where the mask (B, S) is true: (B, K)."""
    factors = _as_column(graph, graph.op("Cast", mask, to=TensorProto.FLOAT))
    return graph.op("ReduceSum", graph.op("Mul", values, factors), np.array([1]), keepdims=0)


def _all_labels(graph: GraphBuilder, values: Tensor, columns: int) -> Tensor:
    """Turn a single column z into the two columns (-z/2, z/2)."""
    return values if columns > 1 else graph.op("Mul", values, np.array([-0.5, 0.5], np.float32))


def _as_column(graph: GraphBuilder, value: Tensor) -> Tensor:
    return graph.op("Unsqueeze", value, np.array([2]))
