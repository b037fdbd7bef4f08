"""The fixed half of the wide branch: naive-Bayes log-count ratios of words and word pairs.

Shapes: N training texts, F features (vocabulary and buckets), K columns (see `ratio_columns`).
"""

import math

import numpy as np

from atnet.dataset import EncodedSplit
from atnet.layers import PAIR_FACTOR, ratio_columns

SMOOTHING = 1.0
LARGEST_TABLE = 2**23
"""Values a table may hold, 32 MiB: with many classes the pairs share fewer buckets."""
FEWEST_BUCKETS = 2**10


def bucket_count(train: EncodedSplit, *, vocabulary_size: int, classes: int) -> int:
    """Choose a power of two of buckets for the word pairs: twice the distinct pairs, within the largest table."""
    pairs = np.unique(_pair_numbers(train)[0]).size
    wanted = math.ceil(math.log2(max(2 * pairs, FEWEST_BUCKETS)))
    room = LARGEST_TABLE // ratio_columns(classes) - vocabulary_size
    allowed = math.floor(math.log2(max(room, FEWEST_BUCKETS)))
    return 1 << min(wanted, allowed)


def log_count_ratios(train: EncodedSplit, *, vocabulary_size: int, buckets: int, classes: int) -> np.ndarray:
    """Compare how often each feature stands in the texts of a class and in the others: (F, K) float32.

    log((p + 1) / |p + 1|) - log((q + 1) / |q + 1|), with p and q the numbers of texts that hold the feature
    (Wang & Manning 2012). With two classes the one column speaks for the second.
    """
    features = vocabulary_size + buckets
    texts, found = _text_features(train, vocabulary_size, buckets)
    cells = found * classes + train.labels[texts]
    counts = np.bincount(cells, minlength=features * classes).reshape(features, classes)
    inside = counts[:, 1:] if classes == 2 else counts
    outside = counts.sum(axis=1, keepdims=True) - inside
    ratios: np.ndarray = _log_share(inside) - _log_share(outside)
    # A feature never seen says nothing, whatever the sizes of the classes.
    ratios[counts.sum(axis=1) == 0] = 0
    return ratios.astype(np.float32)


def _log_share(counts: np.ndarray) -> np.ndarray:
    smoothed = counts + SMOOTHING
    shares: np.ndarray = np.log(smoothed / smoothed.sum(axis=0, keepdims=True))
    return shares


def _pair_numbers(train: EncodedSplit) -> tuple[np.ndarray, np.ndarray]:
    """Number all pairs of neighbours before hashing, and say in which text each stands."""
    texts = np.repeat(np.arange(len(train)), train.lengths)
    inside = texts[:-1] == texts[1:]
    tokens = train.tokens[train.offsets[0] : train.offsets[-1]].astype(np.int64)
    numbers = tokens[:-1][inside] * PAIR_FACTOR + tokens[1:][inside]
    return numbers, texts[:-1][inside]


def _text_features(train: EncodedSplit, vocabulary_size: int, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """List each feature of each text once, as (texts, features)."""
    numbers, pair_texts = _pair_numbers(train)
    tokens = train.tokens[train.offsets[0] : train.offsets[-1]].astype(np.int64)
    token_texts = np.repeat(np.arange(len(train)), train.lengths)
    texts = np.concatenate([token_texts, pair_texts])
    features = np.concatenate([tokens, vocabulary_size + numbers % buckets])
    unique = np.unique(texts * (vocabulary_size + buckets) + features)
    return np.divmod(unique, vocabulary_size + buckets)
