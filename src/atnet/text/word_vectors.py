"""Fit word vectors on the training split, or complete pretrained ones from it.

Positive pointwise mutual information (PPMI) of words within a window, factorized by truncated SVD: what skip-gram with
negative sampling approximates (Levy & Goldberg 2014), in seconds instead of minutes and deterministic.

Words that pretrained vectors lack get the mean of the vectors around them, mapped linearly so that the same mean of a
known word comes closest to its vector (Khodak et al. 2018, "A La Carte Embedding").

Shapes: V tokens with a vector, D values per vector.
"""

from collections.abc import Iterable

import numpy as np
import scipy.sparse as sparse
from sklearn.utils.extmath import randomized_svd

from atnet.config import VectorsConfig
from atnet.text.encoded_split import EncodedSplit
from atnet.text.word_splitting import UNKNOWN_ID

CONTEXT_POWER = 0.75
"""Context counts are raised to this power, so that rare words do not dominate (Levy et al. 2015)."""
EIGENVALUE_POWER = 0.5
POWER_ITERATIONS = 2
BLOCK_TOKENS = 10_000_000
"""Tokens whose pairs are counted at once; of more, the counts of blocks are added up."""
RIDGE = 1e-3
"""Penalty of the linear map, as a share of the mean diagonal element."""


def word_vectors(
    train: EncodedSplit, config: VectorsConfig, *, dimensions: int, unlabeled: Iterable[EncodedSplit] = ()
) -> np.ndarray:
    """Factorize the PPMI matrix: (V, D) float32 with standard deviation `config.init_std`; unseen tokens have zeros.

    V is the result of `frequent_tokens`; all other tokens count as the unknown token.

    Args:
        train: the training split.
        config: how to count, and what to scale to.
        dimensions: D.
        unlabeled: more texts whose co-occurrences count.
    """
    size = frequent_tokens(train, config)
    ppmi = positive_pmi(all_cooccurrences([train, *unlabeled], window=config.window, vocabulary_size=size))
    vectors = np.zeros((size, dimensions), np.float32)
    components = min(dimensions, size - 1)
    if ppmi.nnz == 0:
        return vectors
    left, values, _ = randomized_svd(ppmi, components, n_iter=POWER_ITERATIONS, random_state=config.seed)
    seen = np.diff(ppmi.indptr) > 0
    vectors[seen, :components] = (left * values**EIGENVALUE_POWER)[seen]
    scaled: np.ndarray = vectors * np.float32(config.init_std / vectors[seen].std())
    return scaled


def complete_vectors(
    pretrained_VD: np.ndarray, train: EncodedSplit, config: VectorsConfig, *, unlabeled: Iterable[EncodedSplit] = ()
) -> np.ndarray:
    """Fill the rows of NaN from the co-occurrences and scale all to `config.init_std`: (V, D) float32.

    Tokens that never occur near a known one get zeros, as does padding.

    Args:
        pretrained_VD: vectors of the first V tokens; all other tokens count as the unknown token.
        train: the training split.
        config: how to count, and what to scale to.
        unlabeled: more texts whose co-occurrences count.
    """
    size = len(pretrained_VD)
    known_V = np.isfinite(pretrained_VD[:, 0])
    counts = all_cooccurrences([train, *unlabeled], window=config.window, vocabulary_size=size)
    contexts = counts[:, known_V]
    weights_V = np.asarray(contexts.sum(axis=1)).ravel()
    means_VD = (contexts @ pretrained_VD[known_V]) / np.maximum(weights_V, 1)[:, None]
    fitted_V, missing_V = known_V & (weights_V > 0), ~known_V & (weights_V > 0)
    vectors = np.where(known_V[:, None], pretrained_VD, 0).astype(np.float32)
    if fitted_V.any() and missing_V.any():
        mapping_DD = _ridge(means_VD[fitted_V], pretrained_VD[fitted_V], np.log1p(weights_V[fitted_V]))
        vectors[missing_V] = means_VD[missing_V] @ mapping_DD
    scaled: np.ndarray = vectors * np.float32(config.init_std / vectors[vectors.any(axis=1)].std())
    return scaled


def _ridge(inputs_ND: np.ndarray, outputs_ND: np.ndarray, weights_N: np.ndarray) -> np.ndarray:
    """Fit the linear map from inputs to outputs with the smallest weighted squared error: (D, D)."""
    inputs, weighted = inputs_ND.astype(np.float64), inputs_ND.astype(np.float64) * weights_N[:, None]
    gram = weighted.T @ inputs
    penalty = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    solution: np.ndarray = np.linalg.solve(gram + penalty, weighted.T @ outputs_ND)
    return solution


def frequent_tokens(train: EncodedSplit, config: VectorsConfig) -> int:
    """Return the number of tokens that are frequent enough for a vector; ids are ordered by frequency."""
    counts = np.zeros(UNKNOWN_ID + 1, np.int64)
    for block in train.blocks(BLOCK_TOKENS):
        more = np.bincount(block.tokens[block.offsets[0] : block.offsets[-1]], minlength=len(counts))
        more[: len(counts)] += counts
        counts = more
    frequent = np.flatnonzero(counts >= config.min_frequency)
    last = int(frequent[-1]) if len(frequent) else 0
    return min(max(last, UNKNOWN_ID) + 1, config.max_tokens)


def all_cooccurrences(splits: Iterable[EncodedSplit], *, window: int, vocabulary_size: int) -> sparse.csr_matrix:
    """Add up the co-occurrence counts of several splits, see `cooccurrences`; memory does not grow with the texts."""
    blocks = (block for split in splits for block in split.blocks(BLOCK_TOKENS))
    counts = (cooccurrences(block, window=window, vocabulary_size=vocabulary_size) for block in blocks)
    total = next(counts)
    for more in counts:
        total = total + more
    return total


def cooccurrences(train: EncodedSplit, *, window: int, vocabulary_size: int) -> sparse.csr_matrix:
    """Count pairs of tokens at most `window` apart in a text, weighted by closeness: (V, V), symmetric.

    Token ids from `vocabulary_size` on count as the unknown token. The counts of two parts of a split add up to those
    of the whole split.
    """
    texts = np.repeat(np.arange(len(train)), train.lengths)
    tokens = train.tokens[train.offsets[0] : train.offsets[-1]]
    tokens = np.where(tokens < vocabulary_size, tokens, UNKNOWN_ID)
    shape = (vocabulary_size, vocabulary_size)
    counts = sparse.csr_matrix(shape, dtype=np.float32)
    for distance in range(1, window + 1):
        same_text = texts[:-distance] == texts[distance:]
        first, second = tokens[:-distance][same_text], tokens[distance:][same_text]
        weights = np.full(len(first), (window + 1 - distance) / window, np.float32)
        counts += sparse.coo_matrix((weights, (first, second)), shape=shape).tocsr()
    return (counts + counts.T).tocsr()


def positive_pmi(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the positive pointwise mutual information of the co-occurrence counts, (V, V)."""
    words = np.asarray(counts.sum(axis=1)).ravel()
    contexts = words**CONTEXT_POWER
    pairs = counts.tocoo()
    information = np.log(pairs.data * contexts.sum() / (words[pairs.row] * contexts[pairs.col]))
    positive = information > 0
    values = (information[positive].astype(np.float32), (pairs.row[positive], pairs.col[positive]))
    return sparse.csr_matrix(values, shape=counts.shape)
