"""The features of the wide branch as matrices known by their products, and how telling each feature is.

Shapes: N texts, V vocabulary entries, F features, G character n-grams, K columns.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse

from atnet.text.encoded_split import EncodedSplit
from atnet.text.ngrams import FEWEST_TEXTS, distinct_ngrams

SMOOTHING = 1.0


@dataclass(frozen=True)
class WideFeatures:
    """The features of one split, words and runs first, then character n-grams.

    The first are present or not, over the root of their number in the text; the n-grams are counted over the text's
    different words, over the root of their number. They are never written out per text: the product with their
    weights goes through the words.
    """

    ngrams: sparse.csr_array
    """(N, F1)."""
    words: sparse.csr_array
    """(N, V) of ones."""
    spelling: sparse.csr_array
    """(V, G) of ones."""

    @property
    def shape(self) -> tuple[int, int]:
        """Give N and F."""
        return self.ngrams.shape[0], self.ngrams.shape[1] + self.spelling.shape[1]

    @cached_property
    def scale(self) -> np.ndarray:
        """(N, 1), one over the root of each text's n-grams of characters."""
        letters = self.words @ np.asarray(self.spelling.sum(axis=1)).ravel()
        scale: np.ndarray = (1 / root(letters)).astype(np.float32)
        return scale

    @cached_property
    def transposed(self) -> tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]:
        """The three matrices the other way round."""
        return self.ngrams.T.tocsr(), self.words.T.tocsr(), self.spelling.T.tocsr()

    def times(self, weights_FK: np.ndarray) -> np.ndarray:
        """Multiply by weights: (N, K)."""
        near, far = np.split(weights_FK, [self.ngrams.shape[1]])
        answers: np.ndarray = self.ngrams @ near + self.scale * (self.words @ (self.spelling @ far))
        return answers

    def back(self, slopes_NK: np.ndarray) -> np.ndarray:
        """Multiply the transposed matrix: (F, K)."""
        ngrams, words, letters = self.transposed
        return np.concatenate([ngrams @ slopes_NK, letters @ (words @ (slopes_NK * self.scale))])


def wide_features(
    split: EncodedSplit, present: sparse.csr_array, kept: np.ndarray, grams: sparse.csr_array, longest: int
) -> WideFeatures:
    """Make the features of a split.

    Args:
        present: (N, V + R) which words and runs stand in a text, as `present_ngrams` gives it.
        kept: the columns of `present` that are features.
        grams: (V, G) how the words are spelt.
        longest: words of the longest run.
    """
    scale = sparse.diags_array(1 / root(distinct_ngrams(split, longest))[:, 0])
    return WideFeatures(
        ngrams=sparse.csr_array((scale @ present[:, kept]).astype(np.float32)),
        words=sparse.csr_array(present[:, : grams.shape[0]]),
        spelling=grams,
    )


def frequent_grams(grams: sparse.csr_array, words: sparse.csr_array) -> sparse.csr_array:
    """Keep the n-grams whose words stand in enough texts, counted together."""
    texts = grams.T @ np.asarray(words.sum(axis=0)).ravel()
    return sparse.csr_array(grams[:, np.flatnonzero(texts >= FEWEST_TEXTS)])


def log_count_ratios(features: WideFeatures, targets: np.ndarray) -> np.ndarray:
    """Compare how often each feature stands in the texts of a class and in the others: (F, K) float32.

    log((p + 1) / |p + 1|) - log((q + 1) / |q + 1|), with p and q the texts that hold the feature.
    """
    ngrams, words, letters = features.transposed
    ones = ngrams.copy()
    ones.data = np.ones_like(ones.data)
    texts = targets.astype(np.float32)
    ratios = []
    for counts in (ones @ texts, letters @ (words @ texts)):
        inside = counts[:, 1:] if targets.shape[1] == 2 else counts
        outside = counts.sum(axis=1, keepdims=True) - inside
        ratios.append(_log_share(inside) - _log_share(outside))
    return np.concatenate(ratios).astype(np.float32)


def root(counts: np.ndarray) -> np.ndarray:
    """Give what the features of a text are divided by, so that long texts do not outweigh: (N,) -> (N, 1)."""
    roots: np.ndarray = np.sqrt(np.maximum(counts, 1))[:, None]
    return roots


def _log_share(counts: np.ndarray) -> np.ndarray:
    smoothed = counts.astype(np.float64) + SMOOTHING
    shares: np.ndarray = np.log(smoothed / smoothed.sum(axis=0, keepdims=True))
    return shares
