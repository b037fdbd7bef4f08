"""The feature matrix of the wide branch, and the log-count ratios of its features.

Shapes: N texts, V vocabulary entries, R slots for word n-grams, F features, G character n-grams, K weight columns.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse

from atnet.text.encoded_split import EncodedSplit
from atnet.text.ngrams import MIN_DOCUMENT_FREQUENCY, count_distinct_ngrams

SMOOTHING = 1.0


@dataclass(frozen=True)
class WideFeatures:
    """The feature matrix (N, F) of one split: words and word n-grams, then character n-grams.

    Words and word n-grams are binary, divided by the square root of their number in the text. Character n-grams are
    counted over the text's distinct words, divided by the square root of their number. Their columns are never
    materialized: a product with their weights is computed from the words.
    """

    ngrams: sparse.csc_array
    """(N, F - G), scaled words and word n-grams."""
    words: sparse.csc_array
    """(N, V) of ones."""
    char_ngrams: sparse.csc_array
    """(V, G) of ones."""

    @property
    def shape(self) -> tuple[int, int]:
        """Return N and F."""
        return self.ngrams.shape[0], self.ngrams.shape[1] + self.char_ngrams.shape[1]

    @cached_property
    def char_scale(self) -> np.ndarray:
        """(N, 1), one over the square root of each text's number of character n-grams."""
        counts = self.words @ np.asarray(self.char_ngrams.sum(axis=1)).ravel()
        scale: np.ndarray = (1 / sqrt_column(counts)).astype(np.float32)
        return scale

    def without_char_ngrams(self) -> "WideFeatures":
        """Return the features of words and word n-grams alone; the arrays are shared."""
        none = sparse.csc_array((self.char_ngrams.shape[0], 0), dtype=np.float32)
        return WideFeatures(self.ngrams, self.words, none)

    def matmul(self, weights_FK: np.ndarray) -> np.ndarray:
        """Multiply the matrix by weights: (N, K)."""
        # Column by column: the sums of all texts fit in the processor's cache, the weights of all features do not.
        ngram_w, char_w = np.split(weights_FK, [self.ngrams.shape[1]])
        product: np.ndarray = self.ngrams @ ngram_w
        if len(char_w):
            product += self.char_scale * (self.words @ (self.char_ngrams @ char_w))
        return product

    def rmatmul(self, gradients_NK: np.ndarray) -> np.ndarray:
        """Multiply the transposed matrix by gradients: (F, K)."""
        ngrams: np.ndarray = self.ngrams.T @ gradients_NK
        if self.char_ngrams.shape[1] == 0:
            return ngrams
        return np.concatenate([ngrams, self.char_ngrams.T @ (self.words.T @ (gradients_NK * self.char_scale))])


def wide_features(
    split: EncodedSplit, terms: sparse.csc_array, columns: np.ndarray, char_ngrams: sparse.csc_array, max_n: int
) -> WideFeatures:
    """Build the feature matrix of a split.

    Args:
        terms: (N, V + R), the words and n-grams of each text, as `document_term_matrix` returns them.
        columns: the columns of `terms` that become features.
        char_ngrams: (V, G), the character n-grams of each word.
        max_n: number of words in the longest n-gram.
    """
    scale = (1 / sqrt_column(count_distinct_ngrams(split, max_n))[:, 0]).astype(np.float32)
    ngrams = terms[:, columns]
    ngrams.data = scale[ngrams.indices]
    return WideFeatures(ngrams=ngrams, words=terms[:, : char_ngrams.shape[0]], char_ngrams=char_ngrams)


def frequent_char_ngrams(char_ngrams: sparse.csr_array, words: sparse.csc_array) -> sparse.csc_array:
    """Drop the columns of character n-grams (V, G) whose words (N, V) occur in too few texts in total."""
    frequency = char_ngrams.T @ np.asarray(words.sum(axis=0)).ravel()
    return sparse.csc_array(char_ngrams)[:, np.flatnonzero(frequency >= MIN_DOCUMENT_FREQUENCY)]


def log_count_ratios(features: WideFeatures, targets: np.ndarray) -> np.ndarray:
    """Compare how often each feature occurs in the texts of a class and in the other texts: (F, K) float32.

    log((p + 1) / |p + 1|) - log((q + 1) / |q + 1|), where p and q count the texts that contain the feature.
    """
    ngrams = features.ngrams.T
    binary = sparse.csr_array((np.ones_like(ngrams.data), ngrams.indices, ngrams.indptr), shape=ngrams.shape)
    class_texts = targets.astype(np.float32)
    ratios = []
    for counts in (binary @ class_texts, features.char_ngrams.T @ (features.words.T @ class_texts)):
        in_class = counts[:, 1:] if targets.shape[1] == 2 else counts
        in_others = counts.sum(axis=1, keepdims=True) - in_class
        ratios.append(_log_proportions(in_class) - _log_proportions(in_others))
    return np.concatenate(ratios).astype(np.float32)


def sqrt_column(counts: np.ndarray) -> np.ndarray:
    """Return the square root of feature counts, at least 1, as a column: (N,) -> (N, 1)."""
    roots: np.ndarray = np.sqrt(np.maximum(counts, 1))[:, None]
    return roots


def _log_proportions(counts: np.ndarray) -> np.ndarray:
    smoothed = counts.astype(np.float64) + SMOOTHING
    logs: np.ndarray = np.log(smoothed / smoothed.sum(axis=0, keepdims=True))
    return logs
